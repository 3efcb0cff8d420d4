"""The presets of a space in a search: each judged with the same weights and priced by the same table as the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nas.files import append_jsonl, read_jsonl, write_csv
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.provenance import describe
from nas.progress import Advance
from nas.run.evaluations import COLUMNS, row_of
from nas.search.problem import Constraint
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace


def judge_presets(
    folder: Path,
    space: SearchSpace,
    table: LatencyTable,
    constraints: Sequence[Constraint],
    accuracy_of: Callable[[Sequence[Architecture]], list[float]],
    advance: Advance = lambda done, note: None,
) -> list[dict[str, Any]]:
    """Write presets.csv beside the front and give its rows, those over a limit with `feasible` false.

    Accuracies that the search has recorded are taken from there; the others are evaluated and kept in presets.jsonl,
    so that a resumed search evaluates none twice.
    """
    kept = folder / "presets.jsonl"
    recorded = [*read_jsonl(folder / "evaluations.jsonl"), *read_jsonl(kept, repair=True)]
    known = {row["id"]: row["accuracy"] for row in recorded if row.get("accuracy_share", 1.0) == 1.0}
    rows = []
    for number, preset in enumerate(space.presets.values()):
        advance(number, preset.name)
        architecture = preset.architecture
        if architecture.id not in known:
            known[architecture.id] = accuracy_of([architecture])[0]
            append_jsonl(kept, {"id": architecture.id, "accuracy": known[architecture.id]})
        within = all(limit.evaluate([architecture])[0] <= limit.at_most for limit in constraints)
        row = row_of(architecture, known[architecture.id], table, space, feasible=within)
        rows.append({"name": preset.name, "source": preset.source, **row})
    if rows:
        write_csv(folder / "presets.csv", rows, ("name", "source", *COLUMNS))
    return rows


def preset_latencies(space: SearchSpace, table: LatencyTable) -> dict[str, str]:
    """Say for each preset what latency the table predicts."""
    return {name: describe(table.predict(preset.architecture), table.header) for name, preset in space.presets.items()}
