"""The presets of a space in a search: each judged with the same weights and priced by the same table as the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.files import append_jsonl, read_jsonl
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.provenance import describe
from nas.progress import Advance
from nas.run.evaluations import judge
from nas.run.search import Search
from nas.search.evaluation_row import PresetRow
from nas.search.problem import Constraint
from nas.space.architecture import Architecture


def judge_presets(
    search: Search,
    table: LatencyTable,
    constraints: Sequence[Constraint],
    accuracy_of: Callable[[Sequence[Architecture]], list[float]],
    advance: Advance = lambda done, note: None,
) -> list[PresetRow]:
    """Write presets.csv beside the front and return its rows, those over a limit with `feasible` false.

    Accuracies that the search has recorded are taken from there. The others are evaluated and kept in presets.jsonl,
    so that a resumed search evaluates none twice.
    """
    known = {row.id: row.accuracy for row in search.evaluations() if row.accuracy_share == 1.0}
    known |= {row["id"]: row["accuracy"] for row in read_jsonl(search.presets_path, repair=True)}
    space, rows = table.space, []
    for number, preset in enumerate(space.presets.values()):
        advance(number, preset.name)
        architecture = preset.architecture
        if architecture.id not in known:
            known[architecture.id] = accuracy_of([architecture])[0]
            append_jsonl(search.presets_path, {"id": architecture.id, "accuracy": known[architecture.id]})
        within = all(limit.evaluate([architecture])[0] <= limit.at_most for limit in constraints)
        named = {"name": preset.name, "source": preset.source, "feasible": within}
        rows.append(judge(PresetRow, architecture, known[architecture.id], table, space, **named))
    if rows:
        search.write_presets(rows)
    return rows


def preset_latencies(table: LatencyTable) -> dict[str, str]:
    """Return in words what latency the table predicts for each preset."""
    presets = table.space.presets
    return {name: describe(table.predict(preset.architecture), table.header.scope) for name, preset in presets.items()}
