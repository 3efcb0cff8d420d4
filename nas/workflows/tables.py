"""The latency table of a space on a device: a measured one, a shipped one, or one predicted now."""

from __future__ import annotations

from nas.errors import NasError
from nas.hardware.device import user_root
from nas.hardware.device_spec import device_name, load_spec, spec_files
from nas.hardware.latency_table import LatencyTable, check_space, preference, tables_here
from nas.hardware.table_file import write_table
from nas.progress import Talk
from nas.space.search_space import SearchSpace


def table_of(device: str, space: SearchSpace, talk: Talk, *, measured_only: bool = False) -> LatencyTable:
    """Load the table of exactly this space, measured before predicted; predict one where only a data sheet is at hand.

    A predicted table is kept under `latency_tables/` here. `NasError` where there is neither a table nor a data sheet,
    and with `measured_only` where there is no measured table.
    """
    tables = [(path, header) for path, header in tables_here(device) if header["space_hash"] == space.hash]
    sheet = device_name(device) in spec_files()
    predicted = all(header["provenance"] == "predicted" for _, header in tables) if tables else sheet
    if measured_only and predicted:
        raise NasError(
            f"the latencies of {device} are predicted for {space.name}, none is measured",
            f"On the device itself: nas profile --device {device} --space {space.name}; or leave out --measured-only",
        )
    if tables:
        return LatencyTable.load(min(tables, key=lambda pair: preference(pair[1]))[0])
    if sheet:
        return predicted_table(device, space, talk)
    table = LatencyTable.load(device, space=space.name)
    check_space(table, space)
    return table


def predicted_table(device: str, space: SearchSpace, talk: Talk) -> LatencyTable:
    """Predict a table from the device's data sheet and keep it."""
    from nas.hardware.transfer import conditions, predict_table

    dtype = "bf16" if "bf16" in load_spec(device).peak_tflops else "fp16"
    at = conditions(device, dtype, batch=1)
    with talk.task(f"predict {device}", len(space.operators())) as advance:
        table = predict_table(space, at, progress=lambda done, _: advance(done, ""))
    stem = user_root() / at.spec.name / f"{at.backend}-{at.dtype}-b{at.batch}-{space.name}-{space.hash[:8]}"
    write_table(table.header, table.rows, stem)
    return LatencyTable.load(stem.with_name(f"{stem.name}.json"))
