"""What could be gained by fewer tokens: a bound, before anything of it is built.

python benchmarks/tokens.py                          # scan-mix-small, three quarters of the tokens
python benchmarks/tokens.py --space scan-mix-tiny --keep 0.5

Latency (token pruning, Zhan et al. 2024): blocks that scan, whole and on a grid that is narrower by `--keep`, plus
choosing the tokens, gathering and scattering them; ONNX Runtime, one thread, interleaved rounds, minima of CPU time. A
real pruned block would also need the decays of the tokens it left out, so the gain is a bound from above. Training
(token expansion, Huang et al. 2024): a step of the space's presets on whole and on narrower images, minima of CPU time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from nas.hardware.backends.onnxruntime import onnxruntime_call
from nas.hardware.backends.session import Setting
from nas.hardware.measurement.protocol import measure_interleaved
from nas.nn.subnet import Subnet, build_operator, build_subnet, fold_norms
from nas.space.operator import Operator, operators
from nas.space.search_space import SearchSpace

SCANNING = ("ssd", "nc-ssd", "hsm", "multiscale", "state-fusion")
ROUNDS = 4


class Selection(nn.Module):
    """What pruning adds: score the tokens of a map, take the best, put what became of them back."""

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, c, h, w] to the same, the kept tokens doubled."""
        tokens = x.flatten(2).transpose(1, 2)
        kept = int(self.keep * tokens.shape[1])
        index = (
            tokens.square().sum(2).topk(kept, dim=1).indices.sort(dim=1).values[..., None].expand(-1, -1, x.shape[1])
        )
        return tokens.scatter(1, index, 2 * tokens.gather(1, index)).transpose(1, 2).view_as(x)


def scanning_operators(space: SearchSpace, count: int, rng: np.random.Generator) -> list[Operator]:
    """Draw different operators that scan, as sampled networks have them."""
    found: dict[str, Operator] = {}
    while len(found) < count:
        found |= {op.key: op for op in operators(space.sample(rng), space.num_classes) if op.kind in SCANNING}
    return list(found.values())[:count]


def latency_gains(space: SearchSpace, keep: float, count: int, rng: np.random.Generator) -> None:
    """Print what each drawn block could gain."""
    gains = []
    for op in scanning_operators(space, count, rng):
        torch.manual_seed(0)
        module, width = fold_norms(build_operator(op).eval()), op.in_channels
        narrow = max(1, round(keep * op.grid))
        shapes = {"whole": (1, width, op.grid, op.grid), "fewer": (1, width, op.grid, narrow)}
        calls = {name: onnxruntime_call(module, shape, Setting()) for name, shape in shapes.items()}
        calls["selection"] = onnxruntime_call(Selection(keep).eval(), shapes["whole"], Setting())
        us = {name: 1000 * each.ms for name, each in measure_interleaved(calls, rounds=ROUNDS).items()}
        gains.append(1 - (us["fewer"] + us["selection"]) / us["whole"])
        print(
            f"{op.kind:<13} {width:>4} channels, {op.grid:>2} x {op.grid:<2}: {us['whole']:7.1f} us whole, "
            f"{us['fewer']:7.1f} on {narrow / op.grid:.0%}, {us['selection']:6.1f} to select: "
            f"gain at most {gains[-1]:+.0%}"
        )
    print(f"blocks: median {statistics.median(gains):+.0%}, best {max(gains):+.0%}, worst {min(gains):+.0%}")


def training_gains(space: SearchSpace, keep: float, size: int) -> None:
    """Print by how much a training step of each preset is shorter with fewer tokens."""
    for name, preset in space.presets.items():
        side = preset.architecture.resolution
        narrow = 16 * max(1, round(keep * side / 16))
        torch.manual_seed(0)
        model = build_subnet(preset.architecture, space.num_classes)
        steps = [step_of(model, torch.randn(size, 3, side, wide)) for wide in (side, narrow)]
        least = [min(clocked(steps[which]) for _ in range(ROUNDS)) for which in (0, 1)]
        print(f"{name}: a step on {narrow / side:.0%} of the tokens takes {least[1] / least[0]:.2f} of its time")


def step_of(model: Subnet, images: Tensor) -> Callable[[], None]:
    """Give a training step of a network on images of their own size."""

    def step() -> None:
        model.zero_grad()
        model.layers(images).square().mean().backward()

    return step


def clocked(step: Callable[[], None]) -> float:
    """Give the CPU seconds of a call."""
    start = time.process_time()
    step()
    return time.process_time() - start


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="scan-mix-small")
    parser.add_argument("--keep", type=float, default=0.75, help="share of the tokens")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16, help="images of a training step")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = SearchSpace.load(args.space)
    latency_gains(space, args.keep, args.blocks, np.random.default_rng(args.seed))
    training_gains(space, args.keep, args.batch)


if __name__ == "__main__":
    main()
