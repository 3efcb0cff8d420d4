"""The commands that price and choose: latency tables, searches."""

from __future__ import annotations

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
    Track,
    console_of,
    give,
    give_plan,
    unit,
)
from nas.units import parse_bytes, parse_count, parse_milliseconds


def profile_command(
    device: Annotated[str, typer.Option("--device", help="The name this machine's table gets.")] = "cpu",
    space: Annotated[str, typer.Option("--space", help="A shipped space or a YAML file.")] = "scan-mix-tiny",
    data: Annotated[str | None, typer.Option("--data", help="Take the number of classes from this data set.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Take space and classes from this run instead.")] = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", help="onnxruntime, eager, compile, cudagraph or openvino [by the kind of device]."),
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="fp32, int8, tf32, bf16, fp16 [of the backend].")] = None,
    batch: Annotated[int, typer.Option("--batch", "--batch-size", min=1, help="Images per call.")] = 1,
    validate: Annotated[int, typer.Option("--validate", min=0, help="Whole networks that judge the table.")] = 24,
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Measure about so many blocks, interpolate the others; 0 is all.")
    ] = 0,
    resume: Resume = False,
    dry_run: DryRun = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure every block of a space on this machine into a latency table.

    \b
    Examples:
      nas profile --device cpu
      nas profile --device cpu --space scan-mix --batch 8 --sample 400
      nas profile --device cpu --run runs/first
      nas profile --device a100 --space scan-mix-small      (on the A100 itself)
    """
    from nas.workflows.profile import device_here, plan_for, profile_device, profile_lines, space_to_measure
    from nas.workflows.requests import ProfileRequest

    here = device_here(device, backend)
    plan = plan_for(here, backend, dtype, batch=batch, networks=validate, seed=seed, sample=sample)
    request = ProfileRequest(device=here, space=space_to_measure(space, data, run), plan=plan, resume=resume)
    if dry_run:
        from nas.workflows.dry_run.plans import plan_profile

        give_plan(plan_profile, request, as_json, quiet)
        return
    outcome = profile_device(request, console_of(quiet))
    give(outcome, as_json, [*profile_lines(outcome), f"next: nas search --device {here.name} --max-latency 1ms"])
    if not outcome["passed"]:
        raise CheckFailed("the table predicts whole networks badly: measure again when the machine is quieter")


def search_command(
    device: Annotated[list[str], typer.Option("--device", help="Whose latency table to use; repeatable.")],
    max_latency: Annotated[
        float | None,
        typer.Option("--max-latency", parser=unit(parse_milliseconds), metavar="TIME", help="For example 5ms."),
    ] = None,
    max_params: Annotated[
        float | None,
        typer.Option("--max-params", parser=unit(parse_count), metavar="COUNT", help="For example 300k."),
    ] = None,
    max_size: Annotated[
        float | None, typer.Option("--max-size", parser=unit(parse_bytes), metavar="SIZE", help="For example 2MB.")
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", min=0.0, max=1.0, help="Keep only these on the front.")
    ] = None,
    algorithm: Annotated[
        str, typer.Option("--algorithm", help="surrogate, nsga2, local, tpe, sensitivity or random.")
    ] = "surrogate",
    budget: Annotated[int, typer.Option("--budget", min=1, help="Subnets whose accuracy is measured.")] = 200,
    backend: Annotated[
        str | None, typer.Option("--backend", help="Of the table to use [the device's default].")
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="Of the table to use [the device's default].")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", "--batch-size", min=1, help="Images per call, of the table to use [1].")
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Subnets chosen at a time, for all workers.")] = 10,
    ahead: Annotated[int, typer.Option("--ahead", min=0, help="Batches begun before the oldest is complete.")] = 0,
    racing: Annotated[bool, typer.Option("--racing", help="Stop measuring what is sure to be dominated.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that measure, on Ray from two on.")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Use this Ray cluster.")] = None,
    track: Track = None,
    measured_only: Annotated[bool, typer.Option("--measured-only", help="Refuse predicted latencies.")] = False,
    run: Run = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Find the Pareto-optimal subnets of a trained supernet, per device.

    \b
    Examples:
      nas search --device cpu --max-latency 1ms
      nas search --device cpu --max-latency 800us --max-params 300k --budget 400
      nas search --device cpu --device a100 --max-latency 5ms --workers 4
    """
    from nas.run.run import Run as FoundRun
    from nas.run.search_settings import Limits, SearchSettings, TableChoice
    from nas.tracking import tracked
    from nas.workflows.requests import RayWorkers, SearchRequest

    limits = Limits(
        max_latency_ms=max_latency, max_params=max_params, max_size_bytes=max_size, min_accuracy=min_accuracy
    )
    settings = SearchSettings(
        limits=limits,
        algorithm=algorithm,
        budget=budget,
        batch=at_once,
        ahead=ahead,
        seed=seed,
        racing=racing,
        table=TableChoice(backend=backend, dtype=dtype, batch=batch),
    )
    folder = FoundRun.find(run)
    request = SearchRequest(
        run=folder.path,
        devices=device,
        settings=settings,
        measured_only=measured_only,
        resume=resume,
        workers=RayWorkers(count=workers, address=ray_address),
    )
    if dry_run:
        from nas.workflows.dry_run.plans import plan_search

        give_plan(plan_search, request, as_json, quiet)
        return
    from nas.workflows.search.command import search, search_lines

    files = {f"search/{name}": folder.search(name).evaluations_path for name in device}
    with tracked(track, folder.path, files, resume):
        outcome = search(request, console_of(quiet))
    give(outcome.to_json(), as_json, [*search_lines(outcome), "next: nas finetune --pick best"])
