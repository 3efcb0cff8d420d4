"""How time and memory grow: searches, tables, resumed searches and reports of one size and of twice that size.

    python benchmarks/load.py [--search 100000] [--rows 50000] [--recorded 1000000] [--only report]

Every size runs in a process of its own. Prints CPU seconds, peak memory and their ratios; 2 is linear.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nas.files import sealed, write_json
from nas.hardware.measurement.correction import Correction
from nas.hardware.table.header import TableHeader
from nas.hardware.table.table_file import Row, read_table, write_table
from nas.run.evaluations import COLUMNS, counted_of, metrics_of, read_evaluations
from nas.search.loop import search
from nas.search.problem import Objective
from nas.space.operator import Operator
from nas.space.search_space import SearchSpace
from nas.workflows.report import shown_evaluations

ALGORITHMS = ("random", "nsga2", "local")
WEIGHTS = np.random.default_rng(0).random(20)


class Flat:
    """A space of 4^20 candidates that costs nothing to decode."""

    cardinalities = (4,) * 20

    def active(self, genomes: np.ndarray) -> np.ndarray:
        return np.ones(genomes.shape, dtype=bool)

    def decode(self, genome: Any) -> tuple[int, ...]:
        return tuple(int(gene) for gene in genome)


def search_for(algorithm: str) -> Callable[[int, Path], Callable[[], Any]]:
    """Search with a budget of n cheap evaluations."""

    def prepare(n: int, folder: Path) -> Callable[[], Any]:
        accuracy = Objective(
            "accuracy", "max", lambda c: [float(np.sin(WEIGHTS @ x) + 0.01 * sum(x)) for x in c], expensive=True
        )
        length = Objective("length", "min", lambda c: [float(WEIGHTS[::-1] @ x) for x in c])
        return lambda: search(Flat(), objectives=[accuracy, length], algorithm=algorithm, budget=n, batch=100)

    return prepare


def table_of(n: int, folder: Path) -> Callable[[], Any]:
    """Read a table of n rows."""
    rows = {
        Operator("conv", 8 + i, 8 + i, 16, (("expansion", 2), ("kernel", 3))).key: Row(
            0.1, 0.1, 0.1, 9, 3, 0.01, 1000, "measured", 0.01
        )
        for i in range(n)
    }
    texts = {"unit": "ms", "per": "batch", "provenance": "measured", "device": "cpu", "device_kind": "cpu"}
    texts |= {"backend": "eager", "dtype": "fp32", "space": "toy", "space_hash": ""}
    header: dict[str, Any] = {
        "schema_version": 1,
        **texts,
        "fingerprint": {},
        "batch": 1,
        "threads": 1,
        "validation": {},
    }
    header |= {"space_definition": {}, "num_classes": 10, "null_ms": 0.0, "sigma_sys": 0.0, "correction": Correction()}
    write_table(TableHeader(**header), rows, folder / "table")
    return lambda: read_table(folder / "table.json")


def record(n: int, folder: Path) -> SearchSpace:
    """Write an evaluations.jsonl of n rows, those of the toy space again and again."""
    space = SearchSpace.load("toy")
    rows = []
    for architecture in space.everything():
        row = dict.fromkeys(COLUMNS, 1.0) | {"id": architecture.id, "provenance": "measured", "feasible": True}
        rows.append({**row, "architecture": architecture.to_json(), "accuracy_share": 1.0, "counted": [[5, 10]]})
    lines = [sealed(json.dumps(row, sort_keys=True)) + "\n" for row in rows]
    with (folder / "evaluations.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(lines[i % len(lines)] for i in range(n))
    write_json(folder / "front.json", {"num_evaluations": n})
    return space


def resumed(n: int, folder: Path) -> Callable[[], Any]:
    """Read back n evaluations for a search that is resumed."""
    space = record(n, folder)

    def replay() -> None:
        rows = read_evaluations(folder)
        metrics_of(rows, space)
        counted_of(rows)

    return replay


def reported(n: int, folder: Path) -> Callable[[], Any]:
    """Read n evaluations for a report, which shows a part of them."""
    record(n, folder)
    return lambda: shown_evaluations(folder, n)


def measure(prepare: Callable[[int, Path], Callable[[], Any]], n: int, answer: Any) -> None:
    """Send CPU seconds and the growth of peak memory, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        work = prepare(n, Path(folder))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        work()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        answer.send((time.process_time() - start, grown / 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--recorded", type=int, default=1_000_000)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    jobs = {f"search {name}": (search_for(name), asked.search) for name in ALGORITHMS}
    jobs |= {"table": (table_of, asked.rows), "resume": (resumed, asked.recorded // 10)}
    jobs |= {"report": (reported, asked.recorded)}
    for name, (prepare, n) in jobs.items():
        if asked.only not in name:
            continue
        found = []
        for size in (n // 2, n):
            here, there = multiprocessing.Pipe()
            process = multiprocessing.get_context("fork").Process(target=measure, args=(prepare, size, there))
            process.start()
            found.append(here.recv())
            process.join()
            print(f"{name:<14} {size:>9,}  {found[-1][0]:7.1f} s  {found[-1][1]:7.0f} MiB more", flush=True)
        print(f"{name:<14} {'ratio':>9}  {found[1][0] / found[0][0]:7.2f}    {found[1][1] / max(found[0][1], 1):7.2f}")


if __name__ == "__main__":
    main()
