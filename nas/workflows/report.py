"""`nas report`: one offline page from what a run holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import NasError
from nas.files import Stored, iterate_jsonl, read_csv, read_json, read_jsonl, write_text
from nas.hardware.device import this_machine
from nas.hardware.table.provenance import warnings_of
from nas.report import ReportData, render
from nas.run.evaluations import checked_row, front_in
from nas.run.folder import find_run, latest_search
from nas.run.staleness import check_table, digest
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


def report(*, run: Path | None, output: Path | None) -> dict[str, Any]:
    """Write RUN/report.html, or `output`, from the newest search of a run."""
    run = find_run(run)
    path = output or run / "report.html"
    page = render(gather(run))
    try:
        write_text(path, page)
    except OSError as error:
        raise NasError(f"cannot write {path}: {error.strerror}", "Choose another file with --output") from error
    return {"run": str(run), "report": str(path), "bytes": len(page.encode())}


def gather(run: Path) -> ReportData:
    """Collect the facts of a run; parts that no command wrote yet stay empty."""
    newest = latest_search(run)
    warnings, others = [], []
    for folder in sorted(path.parent for path in run.glob("search/*/front.json")):
        if folder != newest and folder.name == read_json(folder / "search.json")["device"]:  # not one kept from before
            try:
                others.append(gather_search(run, folder))
            except NasError as error:
                warnings.append(f"the search for {folder.name} is left out: {error}")
    data, rows = gather_search(run, newest), compared(run)
    warnings += compared_elsewhere(rows, data.device)
    return replace(
        data,
        compare=tuple(timed_on(rows, data.device)),
        training=tuple(read_jsonl(run / "training.jsonl")),
        audit=audited(run),
        warnings=(*data.warnings, *warnings),
        others=tuple(replace(each, compare=tuple(timed_on(rows, each.device))) for each in others),
    )


def gather_search(run: Path, folder: Path) -> ReportData:
    """Collect the facts of one device's search; `NasError` where its table is not the one it was made with."""
    manifest = read_json(run / "run.json")
    settings, found = read_json(folder / "search.json"), read_json(folder / "front.json")
    device = settings["device"]
    table = searched_table(run, folder)
    check_table(table, folder)
    measured = read_json(folder / "measured.json") if (folder / "measured.json").exists() else {}
    limit = settings["limits"]["max_latency_ms"]
    shown, count = shown_evaluations(folder, found)
    command = f"nas search --device {device}" + (f" --max-latency {limit:g}ms" if limit else "")
    return ReportData(
        title=f"{manifest['space']} on {device}",
        command=command,
        manifest={**manifest, "search": settings},
        device=device,
        backend=table.header["backend"],
        max_latency_ms=limit,
        evaluations=tuple(evaluation(row, measured) for row in shown),
        num_evaluations=count,
        front=tuple(evaluation(row, measured) for row in front_in(folder)),
        presets=tuple(evaluation(row, measured) for row in found.get("presets", [])),
        hypervolume=tuple(
            (int(row["evaluations"]), row["hypervolume"])
            for row in read_csv(folder / "hypervolume.csv", ("evaluations", "hypervolume"))
        ),
        sanity=found.get("sanity", {}),
        table=table.header,
        transfer=transfer_rows(run, device),
        warnings=(*warnings_of(table, this_machine()), *warnings_in(found, limit, measured), *left_out(shown, count)),
    )


def warnings_in(found: Mapping[str, Any], limit: float | None, measured: Mapping[str, Any]) -> list[str]:
    """Say what went otherwise than asked in a search: a member of the front over the limit, or none on it."""
    members = {row["id"] for row in found["front"]}
    over = [name for name, each in measured.items() if name in members and limit is not None and each["ms"] > limit]
    text = f"measured whole, {len(over)} of the front's networks exceed the limit of {limit} ms: {', '.join(over)}"
    return [text] if over else []


def left_out(shown: Sequence[Any], count: int) -> list[str]:
    """Say that a page holds a part of the evaluations, where it does."""
    part = f"{len(shown):,} of {count:,} evaluations are on this page, evenly spread over the search"
    return [f"{part}; front and figures of the search are of all"] if len(shown) < count else []


def shown_evaluations(folder: Path, found: Mapping[str, Any]) -> tuple[list[Stored], int]:
    """Give the evaluations of a finished search that a page can hold, evenly spread, and how many there are in all.

    `NasError` where lines were lost since. Rows are read one by one: of a large search only those shown are kept.
    """
    shown: list[Stored] = []
    stride, count = 1, 0
    for row in iterate_jsonl(folder / "evaluations.jsonl"):
        if count % stride == 0:
            shown.append(checked_row(row))
        count += 1
        if len(shown) > MOST_SHOWN:
            shown, stride = shown[::2], 2 * stride
    if count < found["num_evaluations"]:
        raise NasError(
            f"{folder}/evaluations.jsonl has {count} of {found['num_evaluations']} evaluations",
            "The same nas search with --resume makes the others again",
        )
    return shown, count


def audited(run: Path) -> dict[str, Any]:
    """Read what an audit of these very weights found; `NasError` where the supernet was trained further since."""
    if not (run / "audit.json").exists():
        return {}
    found = read_json(run / "audit.json")
    if found["weights_sha256"] != digest(run / "supernet.safetensors"):
        raise NasError(f"the supernet of {run} has changed since its audit", f"Audit again: nas audit --run {run}")
    return found


def transfer_rows(run: Path, device: str) -> tuple[dict[str, Any], ...]:
    """Read what fronts are worth on each other's device, where a search was for several, `device` among them."""
    path = run / "search" / "transfer.csv"
    rows = read_csv(path, ("hypervolume_share", "accuracy", "own_accuracy", "within_limit", "of"))
    return tuple(rows) if device in {row["used_on"] for row in rows} else ()


def evaluation(row: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Read an evaluation's architecture and add its measurement, if its whole network was measured."""
    found = measured.get(row["id"])
    return {
        **row,
        "architecture": json.loads(row["architecture"]),
        "latency_measured_ms": None if found is None else found["ms"],
    }


def compared(run: Path) -> list[dict[str, Any]]:
    """Give the rows of compare.csv, or before `nas compare` those of the fine-tuned models, not measured yet."""
    if (run / "compare.csv").exists():
        return read_csv(run / "compare.csv", NUMBERS)
    models = [read_json(path) for path in sorted(run.glob("models/*/model.json"))]
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
