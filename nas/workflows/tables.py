"""The latency table of a space on a device: a measured one, a shipped one, or one predicted now."""

from __future__ import annotations

from dataclasses import asdict

from nas.errors import NasError
from nas.hardware.prediction.data_sheet import device_name, load_spec, spec_files
from nas.hardware.table.catalogue import preference, tables_here, title
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import LatencyTable, check_space
from nas.hardware.table.table_file import write_table
from nas.progress import Console
from nas.run.run import Run
from nas.run.search import Search
from nas.run.search_settings import ANY_TABLE, TableChoice
from nas.shipped import user_tables
from nas.space.search_space import SearchSpace


def fits(choice: TableChoice, header: TableHeader) -> bool:
    """Whether a table is as asked for."""
    return all(value is None or getattr(header, name) == value for name, value in asdict(choice).items())


def table_of(
    device: str, space: SearchSpace, console: Console, *, choice: TableChoice = ANY_TABLE, measured_only: bool = False
) -> LatencyTable:
    """Load the table of exactly this space, measured before predicted; predict one where only a data sheet is at hand.

    A predicted table is kept under `latency_tables/` here. `NasError` where there is neither a table nor a data sheet,
    and with `measured_only` where there is no table of which every row is measured.
    """
    of_space = [(path, header) for path, header in tables_here(device) if header.space_hash == space.hash]
    tables = [(path, header) for path, header in of_space if fits(choice, header)]
    if measured_only and tables:
        origins = sorted({header.provenance for _, header in tables})
        tables = [(path, header) for path, header in tables if header.provenance == "measured"]
        if not tables:
            raise not_measured(device, space, f"are {' or '.join(origins)}")
    if tables:
        return LatencyTable.load(min(tables, key=lambda pair: preference(pair[1]))[0])
    if device_name(device) in spec_files():
        if measured_only:
            raise not_measured(device, space, "would be predicted")
        return predicted_table(device, space, choice, console)
    if of_space:
        there = "; ".join(title(header) for _, header in of_space)
        raise NasError(
            f"'{device}' has no latency table of {space.name} for {choice}: there is {there}",
            f"Drop the option, or measure: nas profile --device {device} --space {space.name}",
        )
    table = LatencyTable.load(device, space=space.name)
    check_space(table, space)
    return table


def searchable_table(table: LatencyTable, space: SearchSpace) -> LatencyTable:
    """Return a table over the part of a space that it can price, with its presets: the space of a search on its device.

    Integer bit-widths without rows are no part of it, so that nothing can sample, mutate or cross into them.
    """
    part = table.searchable(space)
    return table.over(part)


def not_measured(device: str, space: SearchSpace, says: str) -> NasError:
    """The refusal of latencies that nobody measured."""
    return NasError(
        f"the latencies of {device} {says} for {space.name}, not all are measured",
        f"On the device itself: nas profile --device {device} --space {space.name}; or leave out --measured-only",
    )


def predicted_table(device: str, space: SearchSpace, choice: TableChoice, console: Console) -> LatencyTable:
    """Predict a table from the device's data sheet and keep it."""
    from nas.hardware.prediction.predict import conditions, predict_table

    dtype = choice.dtype or ("bf16" if "bf16" in load_spec(device).peak_tflops else "fp16")
    at = conditions(device, dtype, batch=choice.batch or 1)
    if choice.backend not in (None, at.backend):
        raise NasError(
            f"latencies of {device} are predicted for the backend {at.backend}, not for {choice.backend}",
            f"Leave out --backend, or measure: nas profile --device {device} --backend {choice.backend}",
        )
    with console.task(f"predict {device}", len(space.operators())) as advance:
        table = predict_table(space, at, progress=lambda done, _: advance(done, ""))
    stem = user_tables() / at.spec.name / f"{at.backend}-{at.dtype}-b{at.batch}-{space.name}-{space.hash[:8]}"
    write_table(table.header, table.rows, stem)
    return LatencyTable.load(stem.with_name(f"{stem.name}.json"))


def searched_table(run: Run, search: Search) -> LatencyTable:
    """Load the table that a search of a run was made with."""
    record = search.record()
    return table_of(record.device, run.space(), Console(quiet=True), choice=record.settings.table)
