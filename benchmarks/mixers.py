"""What the state-space mixing costs, forward and backward, as ratios to the forms that others use.

Times are CPU time of one thread, least of several interleaved rounds; saved memory is what autograd keeps for
backward, each storage once. `--break-evens` prints every form at several lengths instead, from which
nas/supernet/ssd/dispatch.py is made.

    python benchmarks/mixers.py                  # a Markdown table
    python benchmarks/mixers.py --break-evens
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import platform
import time
from collections.abc import Callable
from datetime import date

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from nas.nn.ssd import ssd

HEADS, HEAD_DIM, STATE = 4, 24, 16
CROSS = ["h", "h_flip", "v", "v_flip"]
DIRECTIONS = {1: ["h"], 2: ["h", "h_flip"], 4: CROSS, 8: [*CROSS, "snake", "snake_flip", "snake_v", "snake_v_flip"]}
Work = Callable[[], Tensor]


def draw(batch: int, grid: tuple[int, int], seed: int) -> list[Tensor]:
    """Give x, dt, A, B, C of a mixer, at the decay rates of a fresh one."""
    generator = torch.Generator().manual_seed(seed)
    tokens = grid[0] * grid[1]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    x, b, c = normal(batch, tokens, HEADS, HEAD_DIM), normal(batch, tokens, STATE), normal(batch, tokens, STATE)
    dt = torch.exp(torch.rand(batch, tokens, HEADS, generator=generator) * 4.6 - 6.9).requires_grad_()
    a = (-torch.exp(torch.linspace(0.0, 2.77, HEADS))).requires_grad_()
    return [x, dt, a, b, c]


def ours(tensors: list[Tensor], grid: tuple[int, int], count: int, mode: str = "sum", form: str = "auto") -> Work:
    return lambda: ssd(*tensors, patterns=DIRECTIONS[count], grid=grid, mode=mode, form=form)


def separate(tensors: list[Tensor], grid: tuple[int, int], count: int) -> Work:
    """One chunked scan after the other, averaged: what is done without sharing."""
    return lambda: sum(
        ssd(*tensors, patterns=[name], grid=grid, form="chunked") for name in DIRECTIONS[count]
    ) / count  # type: ignore[return-value]  # fmt: skip


def attention(tensors: list[Tensor]) -> tuple[Work, list[Tensor]]:
    """Scaled dot-product attention of equal width and heads."""
    q, k, v = (torch.randn_like(tensors[0]).transpose(1, 2).contiguous().requires_grad_() for _ in range(3))
    return (lambda: F.scaled_dot_product_attention(q, k, v)), [q, k, v]


def without_decay(tensors: list[Tensor]) -> Work:
    """Non-causal mixing (VSSD): y = C (B^T (dt x)), linear in the tokens and the same in every direction."""
    x, dt, _, b, c = tensors
    return lambda: c @ (b.transpose(1, 2) @ (x * dt[..., None]).flatten(2))


def mambapy_scan(tensors: list[Tensor]) -> tuple[Work, list[Tensor]]:
    """The parallel scan of mambapy (S6, one decay per channel and state) of equal width and state."""
    from mambapy.pscan import pscan

    x, _, _, b, c = tensors
    width = HEADS * HEAD_DIM
    dt = torch.full((*x.shape[:2], width), 0.01).requires_grad_()
    a = (-torch.arange(1.0, STATE + 1).repeat(width, 1)).requires_grad_()

    def scan() -> Tensor:
        decay = torch.exp(dt[..., None] * a)
        inflow = (dt * x.flatten(2))[..., None] * b[:, :, None]
        return (pscan(decay, inflow) @ c[..., None]).squeeze(-1)

    return scan, [x, dt, a, b, c]


def forward_backward(work: Work, tensors: list[Tensor]) -> Callable[[], None]:
    wanted = torch.ones_like(work())

    def run() -> None:
        torch.autograd.grad(work(), tensors, wanted, allow_unused=True)

    return run


def least_seconds(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give the least CPU time of each case; a round runs each once, so that a slow minute touches all."""
    best = dict.fromkeys(cases, float("inf"))
    for run in cases.values():
        run()
    for _ in range(rounds):
        for name, run in cases.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


def saved_mebibytes(work: Work) -> float:
    """Give the memory that a forward pass keeps for backward."""
    sizes: dict[int, int] = {}
    kept = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)  # so that no address is used twice
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(sizes.values()) / 2**20


def print_row(what: str, case: str, base: str, times: dict[str, float], aim: str = "") -> None:
    ratio = times[case] / times[base]
    print(f"| {what} | {1e3 * times[case]:.1f} | {1e3 * times[base]:.1f} | {ratio:.2f} | {aim} |", flush=True)


def print_ratios(rounds: int, seed: int) -> None:
    print("| what / to what | ms | ms | ratio | aim |\n|---|---|---|---|---|")
    for side in (7, 14, 28):
        grid, tokens = (side, side), side * side
        tensors = draw(32, grid, seed)
        work = {f"sum {k}": ours(tensors, grid, k) for k in DIRECTIONS}
        work |= {f"group {k}": ours(tensors, grid, k, "group") for k in (2, 4)}
        work |= {f"separate {k}": separate(tensors, grid, k) for k in (2, 4, 8)} | {"nc": without_decay(tensors)}
        cases = {name: forward_backward(each, tensors) for name, each in work.items()}
        attend, leaves = attention(tensors)
        cases["attention"] = forward_backward(attend, leaves)
        theirs = importlib.util.find_spec("mambapy") is not None and side == 14
        if theirs:
            scan, leaves = mambapy_scan(tensors)
            cases["mambapy"] = forward_backward(scan, leaves)
        times = least_seconds(cases, rounds if side < 28 else max(3, rounds // 3))
        for k in (2, 4):
            aim = "<= 1.2" if k == 4 and side > 7 else ""
            print_row(f"L={tokens}: group of {k} directions / one direction", f"group {k}", "sum 1", times, aim)
        for k in (2, 4, 8):
            aim = "<= 0.5" if k == 4 and side == 7 else ""
            print_row(f"L={tokens}: sum of {k} / {k} separate chunked scans", f"sum {k}", f"separate {k}", times, aim)
        print_row(f"L={tokens}: one direction / attention", "sum 1", "attention", times)
        print_row(f"L={tokens}: non-causal, no decay / one direction", "nc", "sum 1", times)
        if theirs:
            print_row(f"L={tokens}: mambapy's parallel scan / one direction", "mambapy", "sum 1", times, ">= 10")
            work["mambapy"] = scan
        elif side == 14:
            print("| mambapy is not installed: pip install mambapy==1.2.0 | | | | |")
        saved = {name: saved_mebibytes(each) for name, each in work.items()}
        print(
            f"| L={tokens}: MiB saved: "
            + ", ".join(f"{name} {size:.1f}" for name, size in saved.items())
            + " | | | | |"
        )


def print_doubling(rounds: int, seed: int) -> None:
    grids = {784: (28, 28), 1568: (28, 56), 3136: (56, 56)}
    for count, mode in ((1, "sum"), (4, "sum"), (4, "group")):
        cases = {}
        for tokens, grid in grids.items():
            tensors = draw(32, grid, seed)
            cases[str(tokens)] = forward_backward(ours(tensors, grid, count, mode), tensors)
        times = least_seconds(cases, max(3, rounds // 3))
        for base, case in itertools.pairwise(cases):
            print_row(f"L={case} / L={base}: {mode} of {count}", case, base, times, "<= 2.3")


def print_break_evens(rounds: int, seed: int) -> None:
    """Milliseconds of every form, with gradients and without."""
    from nas.nn.ssd import dispatch

    for side, count, mode in itertools.product((7, 8, 10, 12, 14), (1, 2, 4), ("sum", "group")):
        if (count, mode) == (1, "group"):
            continue
        grid, tensors = (side, side), draw(32, (side, side), seed)
        cases: dict[str, Callable[[], object]] = {}
        for form in ("quadratic", "chunked"):
            work = ours(tensors, grid, count, mode, form)
            cases[form] = forward_backward(work, tensors)
            cases[f"{form} forward"] = torch.no_grad()(work)
        for name, limit in (("fused, one chunk", side * side), ("fused, strips", 0)):

            def limited(work: Work, limit: int = limit) -> Work:
                def run() -> Tensor:
                    dispatch.ONE_CHUNK_TOKENS["cpu"] = limit
                    return work()

                return run

            work = limited(ours(tensors, grid, count, mode, "fused"))
            cases[name] = forward_backward(work, tensors)
            cases[f"{name} forward"] = torch.no_grad()(work)
        times = least_seconds(cases, rounds)
        print(
            f"L={side * side} K={count} {mode}: " + ", ".join(f"{k} {1e3 * v:.1f}" for k, v in times.items()),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--break-evens", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{date.today()}, {platform.machine()} {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, "
        f"one thread, seed {args.seed}, least CPU time of {args.rounds} interleaved rounds; batch 32, {HEADS} heads of "
        f"{HEAD_DIM}, state {STATE}, forward and backward\n"
    )
    if args.break_evens:
        print_break_evens(args.rounds, args.seed)
    else:
        print_ratios(args.rounds, args.seed)
        print_doubling(args.rounds, args.seed)


if __name__ == "__main__":
    main()
