"""Images per second of a supernet's step: its subnets in two threads of one core each, or each spread over all cores.

python benchmarks/training_threads.py             # on free cores
python benchmarks/training_threads.py --busy 1    # beside one process that computes without pause
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

import torch

from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe


def spin() -> None:
    while True:
        pass


def images_per_second(two_threads: bool, threads_per_operation: int, steps: int) -> float:
    torch.set_num_threads(threads_per_operation)
    torch.manual_seed(0)
    recipe = SupernetRecipe(side_by_side=two_threads)
    training = SupernetTraining(Supernet(SearchSpace.load("scan-mix-tiny")), recipe, seed=0, steps_per_epoch=1000)
    images = torch.randn(recipe.batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(recipe.batch_size) % 10
    for _ in range(15):  # a cycle of the kinds: every operator has been built once
        train_step(training, images, labels)
    start = time.perf_counter()
    for _ in range(steps):
        train_step(training, images, labels)
    return steps * recipe.batch_size / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside the training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(args.busy)]
    for other in others:
        other.start()
    settings = {"one thread": (False, 1), "each operation on 2": (False, 2), "two threads side by side": (True, 1)}
    best = dict.fromkeys(settings, 0.0)
    for _ in range(args.rounds):  # interleaved: a slow minute touches all of them
        for name, (two, threads) in settings.items():
            best[name] = max(best[name], images_per_second(two, threads, args.steps))
    for name, speed in best.items():
        print(f"{name:<26}{speed:6.0f} img/s  {speed / best['one thread']:.2f} x one thread")


if __name__ == "__main__":
    main()
