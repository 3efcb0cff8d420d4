"""Does a long job keep its size? Trains, searches, fine-tunes and reports in one process, round after round.

    python benchmarks/soak.py [--minutes 120]

After every round the resident memory and the open files are noted. The first third is for warming up (caches of
allocators and libraries fill); after it, memory may move by 2 % and the number of open files not at all. Exits with 1
where they do not keep to that.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from nas.hardware.device import this_machine
from nas.hardware.measurement.correction import Correction
from nas.hardware.table.header import TableHeader
from nas.hardware.table.table_file import Row, write_table
from nas.progress import Console
from nas.run.search_settings import Limits, SearchSettings
from nas.space.search_space import SearchSpace
from nas.workflows.finetune import finetune
from nas.workflows.report import report
from nas.workflows.requests import FinetuneRequest, ReportRequest, SearchRequest, TrainRequest
from nas.workflows.search.command import search
from nas.workflows.train_supernet.command import train_supernet

MOST_GROWTH = 0.02
SHORT = ["epochs=1", "batch_size=256", "ema_share=0.1"]
QUIET = Console(quiet=True)


def write_toy_table() -> None:
    """Write a table of the toy space in the working folder."""
    space = SearchSpace.load("toy")
    row = Row(0.05, 0.05, 0.06, 9, 3, 0.01, 1000, "measured", 0.01)
    texts = {"unit": "ms", "per": "batch", "provenance": "measured", "device": "cpu", "device_kind": "cpu"}
    texts |= {"backend": "onnxruntime", "dtype": "fp32", "space": "toy", "space_hash": space.hash}
    header: dict[str, Any] = {
        "schema_version": 1,
        **texts,
        "fingerprint": this_machine().fingerprint,
        "batch": 1,
        "threads": 1,
    }
    header |= {"space_definition": space.to_dict(), "num_classes": 10, "null_ms": 0.001, "sigma_sys": 0.04}
    header |= {"correction": Correction("scale", 0.0, 1.1, 0.0, 10), "validation": {}}
    write_table(
        TableHeader(**header),
        {op.key: row for op in space.operators()},
        Path("latency_tables/cpu/onnxruntime-fp32-b1-t1-toy"),
    )


def one_round(number: int) -> None:
    """Do all that a run is made of, in a new run."""
    run, now = Path(f"runs/{number}"), datetime(2026, 1, 1)
    train_supernet(TrainRequest(space="toy", data="digits", run=run, seed=number, overrides=SHORT, now=now), QUIET)
    settings = SearchSettings(limits=Limits(max_latency_ms=5.0), budget=30, seed=number)
    search(SearchRequest(run=run, devices=["cpu"], settings=settings), QUIET)
    finetune(FinetuneRequest(run=run, picks=["smallest"], seed=number, overrides=SHORT), QUIET)
    report(ReportRequest(run=run))


def resident_mb() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    notes: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_toy_table()
        while time.monotonic() < end or len(notes) < 6:
            one_round(len(notes))
            gc.collect()
            notes.append((resident_mb(), sum(1 for _ in Path("/proc/self/fd").iterdir())))
            print(f"round {len(notes):4}: {notes[-1][0]:7.1f} MB, {notes[-1][1]} open files", flush=True)
    warm = notes[len(notes) // 3 :]
    half = len(warm) // 2
    before, after = (median(size for size, _ in part) for part in (warm[:half], warm[half:]))
    files = {count for _, count in warm}
    found = {
        "rounds": len(notes),
        "memory_mb": [before, after],
        "growth": after / before - 1,
        "open_files": sorted(files),
    }
    print(json.dumps(found))
    sys.exit(int(found["growth"] > MOST_GROWTH or len(files) > 1))


if __name__ == "__main__":
    main()
