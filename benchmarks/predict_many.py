"""Architectures priced per second by a latency table: all at once against one by one, on one core.

python benchmarks/predict_many.py                        # scan-mix, 200,000 architectures
python benchmarks/predict_many.py --space scan-mix-tiny
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from nas.hardware.measurement.correction import Correction
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.table_file import Row
from nas.space.search_space import SearchSpace


def random_table(space: SearchSpace) -> LatencyTable:
    rng = np.random.default_rng(0)
    times = {operator.key: float(rng.uniform(0.01, 1.0)) for operator in space.operators()}
    rows = {key: Row(ms, ms, ms, 1, 1, 0.0, 1, "measured", 0.0) for key, ms in times.items()}
    header = TableHeader(
        provenance="measured",
        device="cpu",
        device_kind="cpu",
        fingerprint={},
        backend="eager",
        dtype="fp32",
        batch=1,
        threads=1,
        space=space.name,
        space_hash=space.hash,
        space_definition=space.definition(),
        num_classes=space.num_classes,
        null_ms=0.1,
        correction=Correction("scale", 0.0, 1.1, 0.0, 10),
        sigma_sys=0.1,
        validation={},
    )
    return LatencyTable(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="scan-mix")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    space = SearchSpace.load(args.space)
    table = random_table(space)
    genomes = np.random.default_rng(1).integers(0, space.cardinalities, (args.count, len(space.cardinalities)))
    start = time.process_time()
    table.predict_many(genomes[:1])
    took = time.process_time() - start
    print(f"{args.space}: {len(table.rows)} rows, {genomes.shape[1]} genes; laid out in {took:.2f} s")
    few = genomes[:300]
    one_by_one, together = 0.0, 0.0
    for _ in range(args.rounds):  # interleaved: a slow minute touches both
        start = time.process_time()
        slow = [table.predict(space.decode(each)).ms for each in few]
        one_by_one = max(one_by_one, len(few) / (time.process_time() - start))
        start = time.process_time()
        fast = table.predict_many(genomes)
        together = max(together, len(genomes) / (time.process_time() - start))
    assert slow == fast[: len(few)].tolist(), "not equal"
    ratio = together / one_by_one
    print(f"one by one {one_by_one:,.0f}/s, predict_many {together:,.0f}/s: {ratio:,.0f} x, equal to the last bit")


if __name__ == "__main__":
    main()
