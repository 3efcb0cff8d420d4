"""`nas report`: one offline page from what a run holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nas.errors import NasError
from nas.files import JsonObject, read_csv, read_json, read_jsonl, write_text
from nas.hardware.device import this_machine
from nas.hardware.table.provenance import warnings_of
from nas.report import ReportData, render
from nas.run.evaluations import iterate_evaluations
from nas.run.run import Run
from nas.run.search import Search, SearchSummary
from nas.run.staleness import check_table
from nas.search.evaluation_row import EvaluationRow, JudgedNetwork
from nas.workflows.requests import ReportRequest
from nas.workflows.tables import searched_table

MOST_SHOWN = 10_000  # evaluations on a page
# Columns of compare.csv that hold on one device only.
OF_A_DEVICE = (
    *("latency_ms", "latency_low_ms", "latency_high_ms", "provenance"),
    *("rival", "verdict", "error_ratio", "speed_up"),
)
NUMBERS = (
    *("accuracy", "accuracy_std", "validation_accuracy", "inherited_accuracy", "latency_ms"),
    *("num_params", "macs", "epochs", "images", "num_seeds", "error_ratio", "speed_up"),
)


def report(request: ReportRequest) -> JsonObject:
    """Write RUN/report.html, or another file, from the newest search of a run."""
    run = Run.find(request.run)
    path = request.output or run.report_path
    page = render(gather(run))
    try:
        write_text(path, page)
    except OSError as error:
        raise NasError(f"cannot write {path}: {error.strerror}", "Choose another file with --output") from error
    return {"run": str(run), "report": str(path), "bytes": len(page.encode())}


def gather(run: Run) -> ReportData:
    """Collect the facts of a run; parts that no command wrote yet stay empty."""
    newest = run.newest_search()
    warnings, others = [], []
    for search in run.searches():
        if search != newest and search.path.name == search.record().device:  # not one kept from before
            try:
                others.append(gather_search(run, search))
            except NasError as error:
                warnings.append(f"the search for {search.path.name} is left out: {error}")
    data, rows = gather_search(run, newest), compared(run)
    warnings += compared_elsewhere(rows, data.device)
    return replace(
        data,
        compare=tuple(timed_on(rows, data.device)),
        training=tuple(read_jsonl(run.log_path)),
        audit=audited(run),
        warnings=(*data.warnings, *warnings),
        others=tuple(replace(other, compare=tuple(timed_on(rows, other.device))) for other in others),
    )


def gather_search(run: Run, search: Search) -> ReportData:
    """Collect the facts of one device's search; `NasError` where its table is not the one it was made with."""
    record, summary = search.record(), search.summary()
    device = record.device
    table = searched_table(run, search)
    check_table(table, search)
    measured = search.measured_ms()
    limit = record.settings.limits.max_latency_ms
    shown, count = shown_evaluations(search, summary.num_evaluations)
    command = f"nas search --device {device}" + (f" --max-latency {limit:g}ms" if limit else "")
    return ReportData(
        title=f"{run.manifest.space} on {device}",
        command=command,
        manifest={**run.manifest.to_json(), "search": record.to_json()},
        device=device,
        backend=table.header["backend"],
        max_latency_ms=limit,
        evaluations=tuple(evaluation(row, measured) for row in shown),
        num_evaluations=count,
        front=tuple(evaluation(row, measured) for row in summary.front),
        presets=tuple(evaluation(row, measured) for row in summary.presets),
        hypervolume=tuple(
            (int(row["evaluations"]), row["hypervolume"])
            for row in read_csv(search.hypervolume_path, ("evaluations", "hypervolume"))
        ),
        sanity=summary.sanity,
        table=table.header,
        transfer=transfer_rows(run, device),
        warnings=(*warnings_of(table, this_machine()), *over_limit(summary, limit, measured), *left_out(shown, count)),
    )


def over_limit(summary: SearchSummary, limit: float | None, measured_ms: Mapping[str, float]) -> list[str]:
    """Return a warning where members of the front exceed the limit when they are measured whole."""
    members = {row.id for row in summary.front}
    over = [name for name, ms in measured_ms.items() if name in members and limit is not None and ms > limit]
    text = f"measured whole, {len(over)} of the front's networks exceed the limit of {limit} ms: {', '.join(over)}"
    return [text] if over else []


def left_out(shown: Sequence[Any], count: int) -> list[str]:
    """Say that a page holds a part of the evaluations, where it does."""
    part = f"{len(shown):,} of {count:,} evaluations are on this page, evenly spread over the search"
    return [f"{part}; front and figures of the search are of all"] if len(shown) < count else []


def shown_evaluations(search: Search, num_evaluations: int) -> tuple[list[EvaluationRow], int]:
    """Give the evaluations of a finished search that a page can hold, evenly spread, and how many there are in all.

    `NasError` where lines were lost since. Rows are read one by one: of a large search only those shown are kept.
    """
    shown: list[EvaluationRow] = []
    stride, count = 1, 0
    for row in iterate_evaluations(search.evaluations_path):
        if count % stride == 0:
            shown.append(row)
        count += 1
        if len(shown) > MOST_SHOWN:
            shown, stride = shown[::2], 2 * stride
    if count < num_evaluations:
        raise NasError(
            f"{search.evaluations_path} has {count} of {num_evaluations} evaluations",
            "The same nas search with --resume makes the others again",
        )
    return shown, count


def audited(run: Run) -> dict[str, Any]:
    """Read what an audit of these very weights found; `NasError` where the supernet was trained further since."""
    if not run.audit_path.exists():
        return {}
    found = read_json(run.audit_path)
    if found["weights_sha256"] != run.weights_digest():
        raise NasError(f"the supernet of {run} has changed since its audit", f"Audit again: nas audit --run {run}")
    return found


def transfer_rows(run: Run, device: str) -> tuple[dict[str, Any], ...]:
    """Read what fronts are worth on each other's device, where a search was for several, `device` among them."""
    path = run.transfer_path
    rows = read_csv(path, ("hypervolume_share", "accuracy", "own_accuracy", "within_limit", "of"))
    return tuple(rows) if device in {row["used_on"] for row in rows} else ()


def evaluation(row: JudgedNetwork, measured_ms: Mapping[str, float]) -> dict[str, Any]:
    """Return the row of an evaluation with the measurement of its whole network, if there is one."""
    measured = {"latency_measured_ms": measured_ms.get(row.id), "architecture": row.architecture.to_dict()}
    return {**row.to_row(), **measured}


def compared(run: Run) -> list[dict[str, Any]]:
    """Give the rows of compare.csv, or before `nas compare` those of the fine-tuned models, not measured yet."""
    if run.comparison_path.exists():
        return read_csv(run.comparison_path, NUMBERS)
    models = [read_json(folder / "model.json") for folder in run.models()]
    return [
        {**model, "name": f"subnet {model['id']}", "kind": "searched", "latency_ms": None, "source": "fine-tuned"}
        for model in models
    ]


def timed_on(rows: Sequence[Mapping[str, Any]], device: str) -> list[Mapping[str, Any]]:
    """Take from compared networks what was found of them on another device; accuracies hold on all."""
    return [
        row if row.get("device") in (None, device) else {**row, **dict.fromkeys(OF_A_DEVICE), "device": None}
        for row in rows
    ]


def compared_elsewhere(rows: Sequence[Mapping[str, Any]], device: str) -> list[str]:
    """Say that networks were compared on another device than the one the page begins with, where they were."""
    found = next((row["device"] for row in rows if row.get("device") not in (None, device)), None)
    if found is None:
        return []
    remedy = f"Compare here: nas compare --device {device}"
    return [f"networks were compared on {found}, so their latencies stand with it and not with {device}. {remedy}"]
