"""Which subnets each training step trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.space.architecture import Architecture
from nas.space.bits import uniform, with_bits, without_bits
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import slot_name
from nas.training.supernet.cost_bin_losses import CostBinLosses
from nas.training.supernet.fair_sampling import rotation, with_kinds

CANDIDATES = 3  # that attentive sampling chooses one of
MOST_IMPORTANCE = 0.5  # share of importance in the chances of kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """A step, and all that the choice of its subnets may look at.

    `space` holds the choices that have joined by now, `done` is the share of all steps that lie behind. `bins` gives
    architectures by rising cost, `losses` what is remembered of theirs, `score` a subnet's loss on the step's batch,
    `gradient` the running norm of the gradients of a shared module, by its name, `front` the front of a search.
    """

    space: SearchSpace
    step: int
    seed: int
    num_random: int
    done: float
    bins: Callable[[], list[list[Architecture]]]
    losses: CostBinLosses
    score: Callable[[Architecture], float]
    gradient: Callable[[str], float]
    front: Sequence[Architecture]


def sandwich(
    context: StepContext, sampling: str = "rotation", widths: tuple[int, ...] = (), rotate_smallest: bool = False
) -> list[Architecture]:
    """Return the subnets of a step: a largest one first (the teacher), random ones, the smallest last.

    Sandwich rule (Yu & Huang 2019, arXiv 1903.05134); the first ones are drawn by one of `SAMPLINGS`. The smallest is
    that of the space, or of the kinds whose turn it is.
    With integer bit-widths, the largest stays float and has a copy of 8 bits, the smallest takes the fewest bits, and
    half of the random ones are uniform: independent draws alone would never show the ends.
    A function of the turn: a resumed training draws the same subnets.
    """
    space = context.space
    largest, *drawn = SAMPLINGS[sampling](context)
    smallest = smallest_of_step(context) if rotate_smallest else space.smallest()
    if not widths:
        return [largest, *drawn, smallest]
    rng = np.random.default_rng([context.seed, context.step, 4])
    drawn = [drawn_bits(space, architecture, widths, rng) for architecture in drawn]
    return [largest, uniform(space, largest, max(widths)), *drawn, uniform(space, smallest, min(widths))]


def rotating(context: StepContext) -> list[Architecture]:
    """Draw every slot's kind from a fair rotation, of the largest subnet too; the rest uniformly.

    After any full cycle the largest has trained every kind in every slot equally often (a random one, whose depth is
    drawn too, in expectation). With one fixed largest subnet, its kinds are trained four times as often as the others
    and the ranking is biased towards them.
    """
    rng = np.random.default_rng([context.seed, context.step, 1])
    members = range(1 + context.num_random)
    kinds = [rotation(context.space, context.step, context.seed, member) for member in members]
    return [with_kinds(context.space, kinds[member], rng, None if member else max) for member in members]


def independent(context: StepContext) -> list[Architecture]:
    """Take the one largest subnet and draw every gene of the random ones uniformly, as BigNAS does: the plain rule."""
    rng = np.random.default_rng([context.seed, context.step, 1])
    return [context.space.largest(), *(without_bits(context.space.sample(rng)) for _ in range(context.num_random))]


def by_complexity(context: StepContext) -> list[Architecture]:
    """Draw a range of the cost uniformly, then one of its subnets: small and large ones as often as middling ones."""
    return [largest_of_step(context), *(drawn[0] for drawn in candidates(context, 1))]


def by_progress(context: StepContext) -> list[Architecture]:
    """Draw a range of the cost the more often the faster its losses fall, then one of its subnets.

    Probabilities by complexity, learned while training, as in ShiftNAS (Zhang et al. 2023, arXiv 2307.08300); there by
    gradients, here from one more forward pass a step, in which the ranges take turns.
    """
    bins = context.bins()
    rng, number = np.random.default_rng([context.seed, context.step, 9]), context.step % len(bins)
    context.losses.observe(number, context.score(bins[number][int(rng.integers(len(bins[number])))]))
    chances = context.losses.chances(len(bins))
    return [largest_of_step(context), *(drawn[0] for drawn in candidates(context, 1, chances))]


def on_front(context: StepContext) -> list[Architecture]:
    """Draw members of a search's front, each second one with one gene changed: those that compete in the end.

    Supernet Shifting (Zhang et al. 2024, arXiv 2403.11380): the weights forget what the search has left behind.
    """
    rng, drawn = np.random.default_rng([context.seed, context.step, 10]), []
    for _ in range(context.num_random):
        member = context.front[int(rng.integers(len(context.front)))]
        near = list(context.space.neighbours(member)) if rng.random() < 0.5 else []
        drawn.append(without_bits(near[int(rng.integers(len(near)))] if near else member))
    return [largest_of_step(context), *drawn]


def attentive_best(context: StepContext) -> list[Architecture]:
    """Train the best of CANDIDATES subnets of a range of the cost: those that a Pareto front is made of.

    AttentiveNAS, BestUp (Wang et al. 2021, arXiv 2011.09011), judged by the loss on the step's batch.
    """
    return [largest_of_step(context), *(min(few, key=context.score) for few in candidates(context, CANDIDATES))]


def attentive_worst(context: StepContext) -> list[Architecture]:
    """Train the worst of CANDIDATES subnets of a range of the cost: those that lag behind (AttentiveNAS, WorstUp)."""
    return [largest_of_step(context), *(max(few, key=context.score) for few in candidates(context, CANDIDATES))]


def by_gradient(context: StepContext) -> list[Architecture]:
    """Draw each slot's kind in proportion to the norm of its gradients, mixed with uniform draws.

    Path importance of PA&DA (Lu et al. 2023, arXiv 2302.14772): the gradients' variance is then least. The share of
    importance grows with the training up to MOST_IMPORTANCE, as with all of it kinds with small gradients would starve.
    """
    rng = np.random.default_rng([context.seed, context.step, 1])
    drawn = []
    for _ in range(context.num_random):
        kinds = [
            [drawn_kind(context, s, b, tuple(stage.kinds), rng) for b in range(max(stage.depths))]
            for s, stage in enumerate(context.space.stages)
        ]
        drawn.append(with_kinds(context.space, kinds, rng))
    return [largest_of_step(context), *drawn]


def drawn_kind(context: StepContext, stage: int, block: int, kinds: tuple[str, ...], rng: np.random.Generator) -> str:
    """Draw the kind of one slot by its gradients."""
    norms = np.array([context.gradient(f"{slot_name(stage, block)}-{kind}") for kind in kinds])
    share = min(MOST_IMPORTANCE, context.done) if norms.all() else 0.0  # a kind that was never trained has no norm
    chances = share * norms / max(norms.sum(), 1e-30) + (1 - share) / len(kinds)
    return kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))]


def largest_of_step(context: StepContext) -> Architecture:
    """Return the largest subnet of the kinds whose turn it is."""
    rng = np.random.default_rng([context.seed, context.step, 1])
    return with_kinds(context.space, rotation(context.space, context.step, context.seed, member=0), rng, max)


def smallest_of_step(context: StepContext) -> Architecture:
    """Return the smallest subnet of the kinds whose turn it is: no kind is trained more often than the others."""
    rng = np.random.default_rng([context.seed, context.step, 8])
    return with_kinds(
        context.space, rotation(context.space, context.step, context.seed, member=1 + context.num_random), rng, min
    )


def candidates(context: StepContext, count: int, chances: np.ndarray | None = None) -> list[list[Architecture]]:
    """Draw for each random subnet of a step a range of the cost, by `chances` if any, and `count` of its own."""
    rng, bins = np.random.default_rng([context.seed, context.step, 7]), context.bins()
    ranges = [bins[int(rng.choice(len(bins), p=chances))] for _ in range(context.num_random)]
    return [[members[int(k)] for k in rng.integers(len(members), size=count)] for members in ranges]


SAMPLINGS: dict[str, Callable[[StepContext], list[Architecture]]] = {
    "rotation": rotating,
    "uniform": independent,
    "complexity": by_complexity,
    "progress": by_progress,
    "attentive-best": attentive_best,
    "attentive-worst": attentive_worst,
    "gradient": by_gradient,
    "front": on_front,
}


def drawn_bits(
    space: SearchSpace, architecture: Architecture, widths: tuple[int, ...], rng: np.random.Generator
) -> Architecture:
    """Return an architecture bits: one draw for all of it, or one for each part, equally often."""
    enabled: tuple[str | int, ...] = ("fp", *widths)
    if rng.random() < 0.5:
        return uniform(space, architecture, enabled[int(rng.integers(len(enabled)))])

    def choose(choices: tuple[str | int, ...]) -> str | int:
        there = [bits for bits in choices if bits in enabled]
        return there[int(rng.integers(len(there)))]

    return with_bits(space, architecture, choose)
