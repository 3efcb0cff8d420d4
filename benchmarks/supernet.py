"""What weight sharing costs: a sandwich step of four subnets against steps of the same four as separate networks.

    python benchmarks/supernet.py            # CPU time of one thread, then peak memory, each in a process of its own

Both sides do all of a step: forward, backward, clipping, AdamW, average of the weights. Runs are interleaved and the
least counts. Memory is given twice: the bytes of all tensors that a step in one thread allocates, at their peak, as the
profiler counts them; and what the resident set of a process has grown by at most, from before the first step, which
includes what the allocator keeps. The largest alone is the largest subnet of the same step as a plain network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from nas.nn.subnet import build_subnet
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet
from nas.training.ema import WeightAverage
from nas.training.losses import child_loss
from nas.training.optimizer import parameter_groups
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe
from nas.training.supernet.sampling import sandwich

RECIPE = SupernetRecipe()
MODES = ("one thread", "two threads", "largest alone")


class Static:
    """One subnet of a step as a plain network with an optimiser of its own."""

    def __init__(self, architecture: Architecture, num_classes: int) -> None:
        self.model = build_subnet(architecture, num_classes).to(memory_format=torch.channels_last)
        groups = parameter_groups(self.model, RECIPE.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=RECIPE.learning_rate, fused=True)
        self.average = WeightAverage(self.model, 100)

    def step(self, images: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
        """Train on one batch, towards a teacher if there is one; give the logits."""
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(images)
        child = teacher is not None
        loss = child_loss(logits, teacher, labels, RECIPE.distill) if child else F.cross_entropy(logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), RECIPE.clip_norm)
        self.optimizer.step()
        self.average.update()
        return logits.detach()


def batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    return images, torch.arange(size) % 10


def begin(space: SearchSpace, one_thread: bool) -> SupernetTraining:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = replace(RECIPE, side_by_side=not one_thread)
    return SupernetTraining(Supernet(space), recipe, seed=0, steps_per_epoch=1000)


def compare_time(space: SearchSpace, size: int, turns: int, rounds: int) -> None:
    """Print CPU milliseconds of sandwich steps and of the same subnets apart, for several steps' subnets."""
    training, (images, labels) = begin(space, one_thread=True), batch(size)
    sums = [0.0, 0.0]
    for turn in range(turns):
        training.step = turn
        statics = [Static(each, 10) for each in sandwich(training.context(images, labels))]
        least = [float("inf"), float("inf")]
        for _ in range(rounds):
            training.step = turn
            start = time.process_time()
            train_step(training, images, labels)
            middle = time.process_time()
            teacher: Tensor | None = None
            for static in statics:
                logits = static.step(images, labels, teacher)
                teacher = logits if teacher is None else teacher
            least = [min(least[0], middle - start), min(least[1], time.process_time() - middle)]
        sums = [total + each for total, each in zip(sums, least, strict=True)]
        print(f"step {turn}: shared {1e3 * least[0]:.1f} ms, apart {1e3 * least[1]:.1f} ms", flush=True)
    print(f"batch {size}, {turns} steps: shared / apart = {sums[0] / sums[1]:.3f} (aim <= 1.15)")


def resident_peak() -> int:
    """KiB of this process at its peak; getrusage would also count what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def peak_memory(space: SearchSpace, mode: str, size: int, turns: int) -> float:
    """Give the MiB by which the resident set has grown at its peak over some steps."""
    training, (images, labels) = begin(space, mode == "one thread"), batch(size)
    largest = [sandwich_at(training, turn, images, labels)[0] for turn in range(turns)]
    before = resident_peak()
    for turn in range(turns):
        if mode == "largest alone":
            static = Static(largest[turn], 10)
            for _ in range(2):
                static.step(images, labels, None)
        else:
            training.step = turn
            train_step(training, images, labels)
    return (resident_peak() - before) / 1024


def peak_allocated(step: Callable[[], object]) -> float:
    """Give the MiB of tensors that a step holds at its peak, beyond those it began with."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = profiled.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = np.cumsum([nbytes for _, nbytes in changes])
    return float(held.max()) / 2**20


def compare_allocated(space: SearchSpace, size: int, turns: int) -> None:
    training, (images, labels) = begin(space, one_thread=True), batch(size)
    ratios = []
    for turn in range(turns):
        static = Static(sandwich_at(training, turn, images, labels)[0], 10)
        train_step(training, images, labels)  # operators are built, moments are there
        static.step(images, labels, None)
        training.step = turn
        shared = peak_allocated(lambda: train_step(training, images, labels))
        alone = peak_allocated(lambda static=static: static.step(images, labels, None))
        ratios.append(shared / alone)
        print(f"step {turn}: tensors {shared:.0f} MiB, largest alone {alone:.0f} MiB", flush=True)
    print(
        f"tensors at their peak, one thread, batch {size}: at most {max(ratios):.2f} of the largest alone (aim <= 1.1)"
    )


def sandwich_at(training: SupernetTraining, turn: int, images: Tensor, labels: Tensor) -> list[Architecture]:
    training.step = turn
    return sandwich(training.context(images, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="scan-mix-tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--memory-batch", type=int, default=256)
    parser.add_argument("--turns", type=int, default=5, help="steps whose subnets are compared")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--mode", choices=MODES, help="measure the memory of one side in this process, and stop")
    args = parser.parse_args()
    space = SearchSpace.load(args.space)
    if args.mode:
        print(peak_memory(space, args.mode, args.memory_batch, args.turns))
        return
    compare_time(space, args.batch, args.turns, args.rounds)
    compare_allocated(space, args.memory_batch, args.turns)
    grown = {}
    for mode in MODES:
        words = [sys.executable, __file__, "--mode", mode, "--space", args.space, "--turns", str(args.turns)]
        words += ["--memory-batch", str(args.memory_batch)]
        grown[mode] = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    alone = grown["largest alone"]
    shown = ", ".join(f"{mode} {each:.0f} MiB ({each / alone:.2f})" for mode, each in grown.items())
    print(f"resident memory, batch {args.memory_batch}, to that of the largest alone: {shown}")


if __name__ == "__main__":
    main()
