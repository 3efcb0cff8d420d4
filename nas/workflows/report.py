"""`nas report`: one offline page from what a run holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from nas.errors import NasError
from nas.files import JsonObject, Stored, iterate_jsonl, read_csv, read_json, read_jsonl, write_text
from nas.hardware.device import this_machine
from nas.hardware.table.provenance import warnings_of
from nas.report import ReportData, render
from nas.report.audit import Audit
from nas.report.compared_network import NUMBERS, SEARCHED, ComparedNetwork
from nas.report.content import Documents
from nas.report.search_quality import History, SearchQuality
from nas.report.stored_values import number, whole
from nas.report.table_facts import TableFacts
from nas.report.training_epoch import TrainingEpoch
from nas.report.transfer_row import NUMBERS as TRANSFER_NUMBERS
from nas.report.transfer_row import TransferRow
from nas.run.evaluations import evaluation_of
from nas.run.run import Run
from nas.run.search import Search
from nas.run.staleness import check_table
from nas.search.evaluation_row import EvaluationRow, FrontMember, JudgedNetwork
from nas.workflows.requests import ReportRequest
from nas.workflows.tables import searched_table

MOST_SHOWN = 10_000  # evaluations on a page
Judged = TypeVar("Judged", bound=JudgedNetwork)


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
    """Return the facts of a run; parts that no command has written yet stay empty."""
    newest = run.newest_search()
    warnings, others = [], []
    for search in run.searches():
        if search != newest and search.path.name == search.record().device:  # not one kept from before
            try:
                others.append(gather_search(run, search))
            except NasError as error:
                warnings.append(f"the search for {search.path.name} is left out: {error}")
    data, networks, audit = gather_search(run, newest), compared(run), audit_document(run)
    warnings += compared_elsewhere(networks, data.device)
    return replace(
        data,
        compare=tuple(network.on(data.device) for network in networks),
        training=tuple(map(TrainingEpoch.from_json, read_jsonl(run.log_path))),
        audit=None if audit is None else Audit.from_json(audit),
        documents=replace(data.documents, audit=audit or {}),
        warnings=(*data.warnings, *warnings),
        others=tuple(
            replace(other, compare=tuple(network.on(other.device) for network in networks)) for other in others
        ),
    )


def gather_search(run: Run, search: Search) -> ReportData:
    """Return the facts of one device's search; `NasError` where its table is not the one it was made with."""
    manifest, record, summary = run.manifest, search.record(), search.summary()
    device, limit = record.device, record.settings.limits.max_latency_ms
    table = searched_table(run, search)
    check_table(table, search)
    measured = search.measured_ms()
    shown, count = shown_evaluations(search, summary.num_evaluations)
    command = f"nas search --device {device}" + (f" --max-latency {limit:g}ms" if limit else "")
    return ReportData(
        title=f"{manifest.space} on {device}",
        command=command,
        device=device,
        backend=table.header.backend,
        max_latency_ms=limit,
        evaluations=with_measurements(shown, measured),
        num_evaluations=count,
        front=with_measurements(summary.front, measured),
        presets=with_measurements(summary.presets, measured),
        hypervolume=hypervolume_history(search),
        quality=SearchQuality.from_json(summary.sanity) if summary.sanity else None,
        table=TableFacts.from_header(table.header.to_json()),
        transfer=transfer_rows(run, device),
        documents=Documents(manifest={**manifest.to_json(), "search": record.to_json()}, table=table.header.to_json()),
        warnings=(
            *warnings_of(table, this_machine()),
            *over_the_limit(summary.front, limit, measured),
            *left_out(len(shown), count),
        ),
    )


def with_measurements(rows: Iterable[Judged], measured: Mapping[str, float]) -> tuple[Judged, ...]:
    """Return rows with the latency of their whole network, where it was measured."""
    return tuple(replace(row, latency_measured_ms=measured.get(row.id)) for row in rows) if measured else tuple(rows)


def hypervolume_history(search: Search) -> History:
    """Return the hypervolume after each number of evaluations."""
    columns = ("evaluations", "hypervolume")
    rows = read_csv(search.hypervolume_path, columns)
    return tuple((whole(row, "evaluations"), number(row, "hypervolume")) for row in rows)


def over_the_limit(front: Sequence[FrontMember], limit: float | None, measured: Mapping[str, float]) -> list[str]:
    """Return a warning where members of the front, measured whole, exceed the limit."""
    members = {row.id for row in front}
    over = [name for name, ms in measured.items() if name in members and limit is not None and ms > limit]
    warning = f"measured whole, {len(over)} of the front's networks exceed the limit of {limit} ms: {', '.join(over)}"
    return [warning] if over else []


def left_out(num_shown: int, count: int) -> list[str]:
    """Return a warning where the page holds only a part of the evaluations."""
    shown = f"{num_shown:,} of {count:,} evaluations are on this page, evenly spread over the search"
    return [f"{shown}; front and figures of the search are of all"] if num_shown < count else []


def shown_evaluations(search: Search, num_evaluations: int) -> tuple[list[EvaluationRow], int]:
    """Return the evaluations of a finished search that a page can hold, evenly spread, and how many there are in all.

    `NasError` where there are fewer than `num_evaluations`: lines were lost since. Rows are read one by one, and only
    those shown are kept.
    """
    shown: list[Stored] = []
    stride, count = 1, 0
    for row in iterate_jsonl(search.evaluations_path):
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
    return [evaluation_of(row) for row in shown], count


def audit_document(run: Run) -> Stored | None:
    """Return `audit.json`, None where there is none; `NasError` where the supernet was trained further since."""
    if not run.audit_path.exists():
        return None
    document = read_json(run.audit_path)
    if document["weights_sha256"] != run.weights_digest():
        raise NasError(f"the supernet of {run} has changed since its audit", f"Audit again: nas audit --run {run}")
    return document


def transfer_rows(run: Run, device: str) -> tuple[TransferRow, ...]:
    """Return what fronts are worth on each other's device; nothing unless a search was for several, with `device`."""
    rows = [TransferRow.from_row(row) for row in read_csv(run.transfer_path, TRANSFER_NUMBERS)]
    return tuple(rows) if device in {row.used_on for row in rows} else ()


def compared(run: Run) -> list[ComparedNetwork]:
    """Return the networks of compare.csv, or before `nas compare` the fine-tuned ones, not measured yet."""
    if run.comparison_path.exists():
        return [ComparedNetwork.from_row(row) for row in read_csv(run.comparison_path, NUMBERS)]
    return [finetuned(read_json(folder / "model.json")) for folder in run.models()]


def finetuned(model: Stored) -> ComparedNetwork:
    """Return a fine-tuned network as its `model.json` describes it."""
    network = ComparedNetwork.from_row({**model, "name": f"subnet {model['id']}", "kind": SEARCHED, "latency_ms": None})
    return replace(network, source="fine-tuned")


def compared_elsewhere(networks: Sequence[ComparedNetwork], device: str) -> list[str]:
    """Return a warning where networks were compared on another device than the one the page begins with."""
    other = next((network.device for network in networks if network.device not in (None, device)), None)
    if other is None:
        return []
    remedy = f"Compare here: nas compare --device {device}"
    return [f"networks were compared on {other}, so their latencies stand with it and not with {device}. {remedy}"]
