"""The command line: parse, call one workflow, print, exit code. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import errno
import json
import shlex
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.errors import NasError, UsageError
from nas.units import parse_bytes, parse_count, parse_milliseconds

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    add_completion=True,
    help="Finds the best vision network for your device and your latency limit, and proves it.\n\n"
    "\b\nExamples:\n"
    "  nas demo\n"
    "  nas train-supernet --space scan-mix-tiny --data cluttered-digits\n"
    "  nas profile --device cpu\n"
    "  nas search --device cpu --max-latency 1ms\n"
    "  nas finetune --pick best\n"
    "  nas compare\n"
    "  nas report",
)

Run = Annotated[Path | None, typer.Option("--run", help="The run's folder; default: the newest under runs/.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Everything random follows from it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no talk.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue where an interrupted run stopped.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")]

EXIT_USAGE, EXIT_USER, EXIT_CHECK, EXIT_INTERRUPTED = 2, 3, 4, 130
REFUSED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
RESUMABLE = ("train-supernet", "profile", "search")


def unit(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Turn a parser of a number with a unit into one for options: a usage error exits with 2."""

    def parsed(text: str) -> float:
        try:
            return parse(text)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from error

    return parsed


def talk_of(quiet: bool) -> Any:
    """Make the voice that talks on stderr."""
    from nas.progress import Talk

    return Talk(quiet)


def give(result: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    """Print a command's result: JSON, or its last lines for a person."""
    if as_json:
        print(json.dumps(result))
    else:
        print("\n".join(lines))


@app.command("demo")
def demo_command(
    run: Annotated[Path | None, typer.Option("--run", help="Folder of the new run.")] = None,
    minutes: Annotated[float, typer.Option("--minutes", min=1.0, help="Time to spend, in minutes.")] = 10.0,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole story on this CPU: train, profile, search, fine-tune, compare, audit, report.

    \b
    Examples:
      nas demo
      nas demo --minutes 5 --run runs/first
    """
    from nas.workflows.demo import demo, last_lines

    result = demo(run=run, minutes=minutes, seed=seed, now=datetime.now(), talk=talk_of(quiet))
    give(result, as_json, last_lines(result))


@app.command("train-supernet")
def train_supernet_command(
    space: Annotated[str | None, typer.Option("--space", help="A shipped space or a YAML file.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="A data set's name, or imagefolder:PATH.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of the new run, or of the one to resume.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training set.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that share every batch (Ray).")] = 1,
    config: Annotated[Path | None, typer.Option("--config", help="Run a run's config.yaml again.")] = None,
    resume: Resume = False,
    overrides: Set = None,
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
    from nas.run_dir import find_run

    options: dict[str, Any] = {}
    if config is not None or resume:
        options = read_config(config if config is not None else find_run(run) / "config.yaml")
    given = {"space": space, "data": data, "seed": seed}
    options |= {name: value for name, value in given.items() if value is not None}
    for name in ("space", "data"):
        if name not in options:
            example = {"space": "scan-mix-tiny", "data": "cluttered-digits"}[name]
            raise typer.BadParameter(f"say which: --{name} {example}", param_hint=f"--{name}")
    chosen = make_settings(TrainingOptions, options)
    settings = {**chosen.settings, **({"epochs": epochs} if epochs is not None else {})}

    from nas.workflows.train_supernet import train_supernet

    result = train_supernet(
        space=chosen.space,
        data=chosen.data,
        run=run,
        seed=chosen.seed,
        resume=resume,
        overrides=overrides or [],
        settings=settings,
        now=datetime.now(),
        talk=talk_of(quiet),
        workers=workers,
    )
    reached = f"largest {result['accuracy_largest']:.1%}, smallest {result['accuracy_smallest']:.1%} (validation)"
    following = f"next: nas profile --device cpu --run {result['run']}"
    give(result, as_json, [f"supernet: {result['run']}, {reached}", following])


@app.command("profile")
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

    here = device_here(device, backend)
    plan = plan_for(here, backend, dtype, batch=batch, networks=validate, seed=seed, sample=sample)
    measured = space_to_measure(space, data, run)
    found = profile_device(device=here, space=measured, plan=plan, resume=resume, talk=talk_of(quiet))
    give(found, as_json, [*profile_lines(found), f"next: nas search --device {here.name} --max-latency 1ms"])
    if not found["passed"]:
        raise NasCheckFailed("the table predicts whole networks badly: measure again when the machine is quieter")


@app.command("search")
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
    racing: Annotated[bool, typer.Option("--racing", help="Stop measuring what is sure to be dominated.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that measure, on Ray from two on.")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Use this Ray cluster.")] = None,
    measured_only: Annotated[bool, typer.Option("--measured-only", help="Refuse predicted latencies.")] = False,
    run: Run = None,
    resume: Resume = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
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
    from nas.hardware.origin import described_row
    from nas.report.presets import presets_sentence
    from nas.report.sanity import sanity_sentences
    from nas.workflows.search import Limits, SearchSettings, search
    from nas.workflows.tables import TableChoice
    from nas.workflows.transfer_matrix import transfer_lines

    limits = Limits(
        max_latency_ms=max_latency, max_params=max_params, max_size_bytes=max_size, min_accuracy=min_accuracy
    )
    choice = TableChoice(backend=backend, dtype=dtype, batch=batch)
    settings = SearchSettings(
        limits=limits, algorithm=algorithm, budget=budget, batch=at_once, seed=seed, racing=racing, table=choice
    )
    result = search(
        run=run,
        devices=device,
        settings=settings,
        measured_only=measured_only,
        resume=resume,
        dry_run=dry_run,
        talk=talk_of(quiet),
        num_workers=workers,
        ray_address=ray_address,
    )
    if dry_run:
        give(result, as_json, [json.dumps(result["dry_run"], indent=1)])
        return
    lines = []
    for name, front in result["fronts"].items():
        best = max(front, key=lambda row: row["accuracy"])
        low, high = front[0]["latency_ms"], front[-1]["latency_ms"]
        lines.append(
            f"{name}: {len(front)} subnets on the front, {low:.3g} to {high:.3g} ms; best {best['id']}: "
            f"{best['accuracy']:.1%} inherited (validation) at {described_row(best, result['tables'][name])}"
        )
        presets = result["presets"][name]
        lines += [f"{name}: {presets_sentence(front, presets)}"] if presets else []
        lines += [f"{name}: {line}" for line in sanity_sentences(result["sanity"][name])]
    lines += transfer_lines(result["transfer"])
    give(result, as_json, [*lines, "next: nas finetune --pick best"])


@app.command("finetune")
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
    from nas.hardware.origin import described_row
    from nas.workflows.finetune import finetune

    settings = {**(read_config(recipe) if recipe else {}), **({"epochs": epochs} if epochs is not None else {})}
    result = finetune(
        run=run,
        picks=pick or ["best"],
        start=start,
        seed=seed,
        settings=settings,
        overrides=overrides or [],
        talk=talk_of(quiet),
        trials=trials,
        num_workers=workers,
        ray_address=ray_address,
    )
    lines = [
        f"{model['id']}: {model['accuracy']:.2%} on the test split after {model['epochs']} epochs "
        f"(inherited {model['inherited_accuracy']:.2%} on validation), {described_row(model, result['table'])}"
        for model in result["models"]
    ]
    give(result, as_json, [*lines, "next: nas compare"])


@app.command("compare")
def compare_command(
    models: Annotated[
        str, typer.Option("--models", help="timm models and presets of the space; NAME@64 sets the input size.")
    ] = "resnet10t,mobilenetv3_small_050,lcnet_050",
    device: Annotated[str, typer.Option("--device", help="The device of the search: measured if here.")] = "cpu",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each; from two on verdicts have a p.")] = 1,
    pretrained: Annotated[
        Path | None, typer.Option("--pretrained", help="Folder with NAME.safetensors or NAME.pth of timm models.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="As in nas finetune, where recipes are tuned.")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Use this Ray cluster.")] = None,
    run: Run = None,
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
    from nas.workflows.compare import compare

    names = [name for name in models.split(",") if name.strip()]
    result = compare(
        run=run,
        device=device,
        models=names,
        seed=seed,
        seeds=seeds,
        pretrained=pretrained,
        num_workers=workers,
        ray_address=ray_address,
        talk=talk_of(quiet),
    )
    scope = result["table"]
    lines = [
        f"{row['name']:<36} {row['kind']:<14} {row['accuracy']:.2%} test  {row['latency_ms']:.3f} ms "
        f"{row['provenance']}{'' if row['provenance'] == 'measured' else ', never measured'}"
        for row in result["models"]
    ]
    lines.append(f"latencies: whole networks, {device}, {scope['backend']} {scope['dtype']} batch {scope['batch']}")
    lines += [f"{row['rival']}: {row['verdict']}" for row in result["models"] if row.get("verdict")]
    give(result, as_json, [*lines, "next: nas report"])


@app.command("audit")
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
    from nas.workflows.audit import audit, audit_lines

    settings = {"epochs": epochs} if epochs is not None else {}
    found = audit(
        run=run,
        subnets=subnets,
        presets=presets,
        device=device,
        seeds=seeds,
        seed=seed,
        settings=settings,
        overrides=overrides or [],
        talk=talk_of(quiet),
    )
    give(found, as_json, [*audit_lines(found), "next: nas report"])
    if found["failed"]:
        raise NasCheckFailed("; ".join(found["failed"]))


@app.command("export")
def export_command(
    pick: Annotated[str, typer.Option("--pick", help="best, knee, smallest or an id; a fine-tuned one.")] = "best",
    form: Annotated[str, typer.Option("--format", help="safetensors, onnx, pt2 or openvino.")] = "onnx",
    dtype: Annotated[str, typer.Option("--dtype", help="fp32, or fp16 for onnx and openvino.")] = "fp32",
    output: Annotated[Path | None, typer.Option("--output", help="Folder to write to [RUN/exports/ID].")] = None,
    run: Run = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a fine-tuned network as files that need nothing of ours, and check them in a fresh process.

    \b
    Examples:
      nas export --pick best --format onnx
      nas export --pick best --format safetensors --output best-network
    """
    from nas.workflows.export import export

    result = export(run=run, pick=pick, form=form, dtype=dtype, output=output, talk=talk_of(quiet))
    found = result["files"][Path(result["file"]).name]
    parity = found["parity"]
    line = (
        f"{result['file']} ({found['dtype']}, {found['bytes']:,} bytes): against the trained network, on "
        f"{parity['samples']:,} test images, {found['runtime']}: greatest relative difference "
        f"{parity['max_relative_difference']:.1e}, same class {parity['top1_agreement']:.2%}"
    )
    give(result, as_json, [line, f"model card: {result['output']}/README.md"])
    if not parity["passed"]:
        raise NasCheckFailed(f"{result['file']} does not compute what the trained network does")


@app.command("report")
def report_command(
    output: Annotated[Path | None, typer.Option("--output", help="File to write; default RUN/report.html.")] = None,
    run: Run = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write one offline HTML page about a run.

    \b
    Examples:
      nas report
      nas report --run runs/first --output first.html
    """
    from nas.workflows.report import report

    result = report(run=run, output=output)
    give(result, as_json, [f"report: {result['report']} ({result['bytes'] / 1e6:.1f} MB, opens offline)"])


@app.command("show")
def show_command(
    thing: Annotated[str, typer.Argument(help="space, device, architecture or run.")],
    name: Annotated[str | None, typer.Argument(help="Its name; without it, all are listed.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Price this timm model on the device; NAME@288.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images per call [1].")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="fp32, tf32, fp16 or bf16 [fp16].")] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what exists: spaces, devices, architectures, runs.

    \b
    Examples:
      nas show space scan-mix-tiny
      nas show device cpu
      nas show device a100 --model resnet50 --batch 128 --dtype fp16 --json
    """
    from nas.workflows.show import show

    asked = {"model": model, "batch": batch, "dtype": dtype}
    result = show(thing, name, **{option: value for option, value in asked.items() if value is not None})
    give(result, as_json, [f"{key}: {json.dumps(value, default=str)}" for key, value in result.items()])


class NasCheckFailed(Exception):
    """A check that the user asked for came out negative."""


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from importlib.metadata import version as installed

        print(f"nas {installed('scan-nas')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def resume_command(argv: list[str]) -> str:
    """Write the command that continues an interrupted one, or begins it again where it cannot be continued."""
    words = [word for word in argv if word != "--resume"]
    return shlex.join(["nas", *words, *(["--resume"] if words and words[0] in RESUMABLE else [])])


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app(prog_name="nas")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except NasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER)
    except NasCheckFailed as error:
        print(f"check failed: {error}", file=sys.stderr)
        sys.exit(EXIT_CHECK)
    except OSError as error:
        if error.errno not in REFUSED_WRITES:
            raise
        print(
            f"error: cannot write{f' {error.filename}' if error.filename else ''}: {error.strerror}. "
            "Make room, or choose another folder; what was written before is whole",
            file=sys.stderr,
        )
        sys.exit(EXIT_USER)
    except SystemExit as stop:  # typer makes this of every end, of Ctrl-C too
        if stop.code == EXIT_INTERRUPTED:
            print(f"\ninterrupted; continue with: {resume_command(sys.argv[1:])}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
