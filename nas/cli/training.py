"""The commands that train: supernets, picked subnets, models beside them, networks alone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import (
    AsJson,
    CheckFailed,
    DryRun,
    Quiet,
    Resume,
    Run,
    Seed,
    Set,
    Track,
    console_of,
    give,
    give_plan,
)
from nas.files import JsonObject


def train_supernet_command(
    space: Annotated[str | None, typer.Option("--space", help="A shipped space or a YAML file.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="A data set's name, or imagefolder:PATH.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of the new run, or of the one to resume.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training set.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that share every batch (Ray).")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Use this Ray cluster.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Run a run's config.yaml again.")] = None,
    track: Track = None,
    resume: Resume = False,
    overrides: Set = None,
    dry_run: DryRun = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Everything random follows from it [0].")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train one weight-sharing supernet.

    \b
    Examples:
      nas train-supernet --space scan-mix-tiny --data cluttered-digits --epochs 20
      nas train-supernet --space my_space.yaml --data imagefolder:photos@64 --set learning_rate=1e-3
      nas train-supernet --space scan-mix-tiny --data cluttered-digits --workers 2
      nas train-supernet --resume
    """
    from nas.config import TrainingOptions, make_settings, read_config
    from nas.run.folder import new_run
    from nas.run.run import Run as FoundRun
    from nas.tracking import tracked
    from nas.workflows.requests import RayWorkers, TrainRequest

    options: JsonObject = {}
    if config is not None or resume:
        options = read_config(config if config is not None else FoundRun.find(run).config_path)
    given = {"space": space, "data": data, "seed": seed}
    options |= {name: value for name, value in given.items() if value is not None}
    for name in ("space", "data"):
        if name not in options:
            example = {"space": "scan-mix-tiny", "data": "cluttered-digits"}[name]
            raise typer.BadParameter(f"say which: --{name} {example}", param_hint=f"--{name}")
    chosen, now = make_settings(TrainingOptions, options), datetime.now()
    folder = run if dry_run else FoundRun.find(run).path if resume else run or new_run("train-supernet", now)
    request = TrainRequest(
        space=chosen.space,
        data=chosen.data,
        run=folder,
        seed=chosen.seed,
        resume=resume,
        settings={**chosen.settings, **epochs_of(epochs)},
        overrides=overrides or [],
        workers=RayWorkers(count=workers, address=ray_address),
        now=now,
    )
    if dry_run:
        from nas.workflows.dry_run.plans import plan_training

        give_plan(plan_training, request, as_json, quiet)
        return
    from nas.workflows.train_supernet.command import train_supernet

    assert folder is not None, "only a dry run needs none"
    with tracked(track, folder, {"training": FoundRun(folder).log_path}, resume):
        outcome = train_supernet(request, console_of(quiet))
    row = outcome.last_row
    reached = f"largest {row['accuracy_largest']:.1%}, smallest {row['accuracy_smallest']:.1%} (validation)"
    following = f"next: nas profile --device cpu --run {outcome.run}"
    give(outcome.to_json(), as_json, [f"supernet: {outcome.run}, {reached}", following])


def epochs_of(epochs: int | None) -> dict[str, int]:
    """Return the setting that --epochs stands for, if it was given."""
    return {} if epochs is None else {"epochs": epochs}


def finetune_command(
    pick: Annotated[list[str] | None, typer.Option("--pick", help="best, knee, smallest, all or an id.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training set.")] = None,
    start: Annotated[str, typer.Option("--from", help="Weights to begin with: inherited or scratch.")] = "inherited",
    trials: Annotated[int, typer.Option("--trials", min=0, help="Recipes to try for each network before.")] = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that try them, on Ray from two on.")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Use this Ray cluster.")] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Train by RUN/models/ID/recipe.yaml again.")] = None,
    run: Run = None,
    overrides: Set = None,
    dry_run: DryRun = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train picked subnets for their own sake and judge them on the test split.

    With --trials the recipe of each is tuned on the validation split first; killed, the same command goes on.

    \b
    Examples:
      nas finetune --pick best
      nas finetune --pick best --pick knee --pick smallest --epochs 8
      nas finetune --pick best --trials 8
      nas finetune --pick best --recipe runs/first/models/ID/recipe.yaml
    """
    from nas.config import read_config
    from nas.workflows.requests import FinetuneRequest, RayWorkers

    request = FinetuneRequest(
        run=run,
        picks=pick or ["best"],
        start=start,
        seed=seed,
        settings={**(read_config(recipe) if recipe else {}), **epochs_of(epochs)},
        overrides=overrides or [],
        trials=trials,
        workers=RayWorkers(count=workers, address=ray_address),
    )
    if dry_run:
        from nas.workflows.dry_run.plans import plan_finetune

        give_plan(plan_finetune, request, as_json, quiet)
        return
    from nas.workflows.finetune import finetune, finetune_lines

    outcome = finetune(request, console_of(quiet))
    give(outcome.to_json(), as_json, [*finetune_lines(outcome), "next: nas compare"])


def compare_command(
    models: Annotated[
        str, typer.Option("--models", help="timm models and presets of the space; NAME@64 sets the input size.")
    ] = "resnet10t,mobilenetv3_small_050",
    device: Annotated[str, typer.Option("--device", help="The device of the search: measured if here.")] = "cpu",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each; from two on verdicts have a p.")] = 1,
    pretrained: Annotated[
        Path | None, typer.Option("--pretrained", help="Folder with NAME.safetensors or NAME.pth of timm models.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="As in nas finetune, where recipes are tuned.")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Use this Ray cluster.")] = None,
    run: Run = None,
    dry_run: DryRun = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train hand-designed timm models by the same recipe, and measure them with the same harness.

    \b
    Examples:
      nas compare
      nas compare --models resnet18,mobilenetv3_small_050@64,vit_tiny_patch16_224@32/4 --seeds 3
    """
    from nas.workflows.requests import CompareRequest, RayWorkers

    request = CompareRequest(
        run=run,
        device=device,
        models=[name for name in models.split(",") if name.strip()],
        seed=seed,
        seeds=seeds,
        pretrained=pretrained,
        workers=RayWorkers(count=workers, address=ray_address),
    )
    if dry_run:
        from nas.workflows.dry_run.plans import plan_compare

        give_plan(plan_compare, request, as_json, quiet)
        return
    from nas.workflows.compare.command import compare, compare_lines

    outcome = compare(request, console_of(quiet))
    give(outcome.to_json(), as_json, [*compare_lines(outcome, device), "next: nas report"])


def audit_command(
    subnets: Annotated[int, typer.Option("--subnets", min=3, help="Networks trained alone, from scratch.")] = 12,
    presets: Annotated[bool, typer.Option("--presets", help="The presets of the space as well.")] = False,
    device: Annotated[
        str | None, typer.Option("--device", help="Whose table to audit [that of the newest search, else cpu].")
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Trainings per network; from two on the noise ceiling is printed.")
    ] = 1,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Of each [those of the supernet].")] = None,
    run: Run = None,
    overrides: Set = None,
    dry_run: DryRun = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say how far the numbers can be trusted: inherited against stand-alone accuracy, table against whole networks.

    Killed, it goes on when it is started again. Exit code 4: the order may be chance (the 95 % interval of Kendall's
    tau begins at 0 or below), or the latency table failed its validation.

    \b
    Examples:
      nas audit --subnets 24
      nas audit --subnets 12 --presets --seeds 2 --device cpu
    """
    from nas.workflows.requests import AuditRequest

    request = AuditRequest(
        run=run,
        subnets=subnets,
        presets=presets,
        device=device,
        seeds=seeds,
        seed=seed,
        settings=epochs_of(epochs),
        overrides=overrides or [],
    )
    if dry_run:
        from nas.workflows.dry_run.plans import plan_audit

        give_plan(plan_audit, request, as_json, quiet)
        return
    from nas.workflows.audit import audit, audit_lines

    outcome = audit(request, console_of(quiet))
    give(outcome.to_json(), as_json, [*audit_lines(outcome.content), "next: nas report"])
    if outcome.failed:
        raise CheckFailed("; ".join(outcome.failed))
