"""Writes the predicted A100 tables of the shipped spaces; minutes for `scan-mix`, no GPU.

python benchmarks/predicted_tables.py                # all spaces
python benchmarks/predicted_tables.py toy vit-elastic
"""

from __future__ import annotations

import argparse
import time

from nas.hardware.prediction.data_sheet import spec_files
from nas.hardware.prediction.predict import conditions, predict_table
from nas.hardware.table.table_file import write_table
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=[*shipped_spaces()])
    parser.add_argument("--device", default="a100")
    args = parser.parse_args()
    at = conditions(args.device, "bf16", 1)
    for name in args.spaces:
        start = time.perf_counter()
        space = SearchSpace.load(name)
        table = predict_table(space, at)
        write_table(table.header, table.rows, spec_files()[at.spec.name].parent / f"{at.backend}-bf16-b1-{space.name}")
        ends = [table.predict(each).ms for each in (space.smallest(), space.largest())]
        took = time.perf_counter() - start
        print(f"{name}: {len(table.rows)} rows in {took:.0f} s; smallest {ends[0]:.3g} ms, largest {ends[1]:.3g} ms")


if __name__ == "__main__":
    main()
