"""What mixed bits are worth: searches of one budget in mixed, float-only and uniform 8-bit networks.

python benchmarks/bits.py --run runs/int8 --device cpu   # after nas train-supernet and nas profile --dtype int8
python benchmarks/bits.py --run runs/int8 --device cpu --seeds 5 --budget 60

Every search sees the same weights, the same table, as many evaluations, and begins as `nas search` does: with the
fastest, the smallest and the largest network and with the presets, in those bits that it has. Hypervolumes of
accuracy and latency share one reference: accuracy 0 (and the worst of all fronts) at 1.1 times the greatest latency
of all fronts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.datasets import load_dataset
from nas.data.splits import Split
from nas.evaluation.accuracy import inherited_accuracy
from nas.files import append_jsonl, read_json, read_jsonl
from nas.hardware.table.latency_table import LatencyTable
from nas.run.run import Run, load_supernet
from nas.search.loop import search
from nas.search.pareto import hypervolume
from nas.search.problem import Objective
from nas.space.architecture import Architecture
from nas.space.availability import available
from nas.space.bits import uniform
from nas.space.search_space import SearchSpace
from nas.workflows.search.command import initial_architectures

VALIDATION, CALIBRATION = 1000, 256  # images: a quarter of the time of all, the same for every search


@dataclass(frozen=True)
class UniformBits:
    """The networks of a space of floats, each with uniform bits: a design space."""

    space: SearchSpace
    floats: SearchSpace
    bits: str | int

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return self.floats.cardinalities

    def active(self, genomes: np.ndarray) -> np.ndarray:
        return self.floats.active(genomes)

    def decode(self, genome: np.ndarray) -> Architecture:
        return uniform(self.space, self.floats.decode(genome), self.bits)


def accuracies(run: Path) -> Callable[[list[Architecture]], list[float]]:
    """Judge architectures with inherited weights, each once for all searches; kept beside the run."""
    dataset, supernet = load_dataset(read_json(run / "run.json")["data"], 0), load_supernet(run)
    calibration, whole = dataset.calibration(CALIBRATION), dataset.validation()
    split = Split(whole.images[:VALIDATION], whole.labels[:VALIDATION]) if isinstance(whole, Split) else whole
    kept = run / "bits.jsonl"
    known = {row["id"]: row["accuracy"] for row in read_jsonl(kept, repair=True)}

    def judge(architectures: list[Architecture]) -> list[float]:
        for each in architectures:
            if each.id not in known:
                known[each.id] = inherited_accuracy(supernet, each, calibration, split)
                append_jsonl(kept, {"id": each.id, "accuracy": known[each.id]})
        return [known[each.id] for each in architectures]

    return judge


def fronts(
    space: SearchSpace, table: LatencyTable, judge: Any, seed: int, budget: int, algorithm: str
) -> dict[str, Any]:
    """Search the three spaces with one seed; costs [n, 2] (minus accuracy, milliseconds) of each front."""
    floats = available(space, lambda op: op.bits == "fp" and "quantize" not in op.kind)
    whole, plain = ([part.encode(each) for each in initial_architectures(table.over(part))] for part in (space, floats))
    spaces = {"mixed": (space, whole), "float": (floats, plain), "uniform 8": (UniformBits(space, floats, 8), plain)}
    found = {}
    for name, (each, initial) in spaces.items():
        result = search(
            each,
            initial=[genome.tolist() for genome in initial],
            objectives=[
                Objective("accuracy", "max", judge, expensive=True),
                Objective("latency_ms", "min", lambda some: [table.predict(one).ms for one in some]),
            ],
            constraints=[],
            algorithm=algorithm,
            budget=budget,
            seed=seed,
        )
        found[name] = np.array([[-one.metrics["accuracy"], one.metrics["latency_ms"]] for one in result.front])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=60)
    parser.add_argument("--algorithm", default="surrogate")
    args = parser.parse_args()
    run = Run.find(args.run).path
    supernet_space = load_supernet(run).space
    table = LatencyTable.load(args.device, space=supernet_space.name, dtype="int8")
    space, judge = table.searchable(supernet_space), accuracies(run)
    ratios: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        found = fronts(space, table, judge, seed, args.budget, args.algorithm)
        points = np.concatenate(list(found.values()))
        slowest = 1.1 * points[:, 1].max()
        for label, worst in (("accuracy 0", 0.0), ("the worst", points[:, 0].max() + 1e-3)):
            volumes = {name: hypervolume(costs, (worst, slowest)) for name, costs in found.items()}
            for other in ("float", "uniform 8"):
                ratios.setdefault(f"mixed / {other}, from {label}", []).append(volumes["mixed"] / volumes[other])
        best = {name: f"{-costs[:, 0].min():.3f} / {1e3 * costs[:, 1].min():.0f} us" for name, costs in found.items()}
        print(json.dumps({"seed": seed, "best accuracy / fastest": best}), flush=True)
    for name, values in ratios.items():
        print(f"{name}: {np.median(values):.3f} median of {min(values):.3f} to {max(values):.3f}")


if __name__ == "__main__":
    main()
