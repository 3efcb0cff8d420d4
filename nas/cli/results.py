"""The commands that show: the demo, exports, reports, what exists."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import AsJson, CheckFailed, DryRun, Quiet, Run, Seed, console_of, described, give, give_plan


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
    from nas.workflows.requests import DemoRequest

    request = DemoRequest(run=run, minutes=minutes, seed=seed, now=datetime.now())
    outcome = demo(request, console_of(quiet))
    give(outcome.to_json(), as_json, last_lines(outcome))


def export_command(
    pick: Annotated[str, typer.Option("--pick", help="best, knee, smallest or an id; a fine-tuned one.")] = "best",
    form: Annotated[str, typer.Option("--format", help="safetensors, onnx, pt2 or openvino.")] = "onnx",
    dtype: Annotated[str, typer.Option("--dtype", help="fp32, or fp16 for onnx and openvino.")] = "fp32",
    output: Annotated[Path | None, typer.Option("--output", help="Folder to write to [RUN/exports/ID].")] = None,
    run: Run = None,
    dry_run: DryRun = False,
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
    from nas.workflows.requests import ExportRequest

    request = ExportRequest(run=run, pick=pick, form=form, dtype=dtype, output=output)
    if dry_run:
        from nas.workflows.dry_run.plans import plan_export

        give_plan(plan_export, request, as_json, quiet)
        return
    from nas.workflows.export import export

    outcome = export(request, console_of(quiet))
    file = outcome.file
    path, parity = outcome.path, file.parity
    line = (
        f"{path} ({file.dtype}, {file.bytes:,} bytes): against the trained network, on "
        f"{parity.samples:,} test images, {file.runtime}: greatest relative difference "
        f"{parity.max_relative_difference:.1e}, same class {parity.top1_agreement:.2%}"
    )
    give(outcome.to_json(), as_json, [line, f"model card: {outcome.folder}/README.md"])
    if not parity.passed:
        raise CheckFailed(f"{path} does not compute what the trained network does")


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
    from nas.workflows.requests import ReportRequest

    result = report(ReportRequest(run=run, output=output))
    give(result, as_json, [f"report: {result['report']} ({result['bytes'] / 1e6:.1f} MB, opens offline)"])


def show_command(
    thing: Annotated[
        str | None, typer.Argument(help="space, device, architecture or run; without it, all there is.")
    ] = None,
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
      nas show
      nas show space scan-mix-tiny
      nas show device cpu
      nas show device a100 --model resnet50 --batch 128 --dtype fp16 --json
    """
    from nas.workflows.show import show

    options = {"model": model, "batch": batch, "dtype": dtype}
    given = {option: value for option, value in options.items() if value is not None}
    result = show(thing, name, now=datetime.now(), **given)
    give(result, as_json, list(described(result)))
