"""Trains a supernet: the loop and its exactly resumable state."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.errors import NasError
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import by_cost
from nas.supernet.supernet import Supernet
from nas.training.divergence import check_finite, check_jump
from nas.training.ema import WeightAverage
from nas.training.mixup import mixed
from nas.training.optimizer import laid_out_as, learning_rate, parameter_groups, set_rate
from nas.training.supernet.bit_schedule import begin_steps, joins
from nas.training.supernet.conflict import split_state
from nas.training.supernet.cost_bin_losses import CostBinLosses
from nas.training.supernet.gradients import gradients_of
from nas.training.supernet.progressive_shrinking import joined
from nas.training.supernet.recipe import SupernetRecipe
from nas.training.supernet.sampling import StepContext, sandwich

ROLLBACK_RATE = 0.5  # by which each roll-back multiplies the learning rate
COST_RANGES = 20  # of latency or MACs, that some samplings draw from


class SupernetTraining:
    """The state of a training: weights, their moving average, optimiser and the number of steps done.

    `cost` orders architectures for the samplers that need it; without it, MACs do. `front` is for that of this name.
    """

    def __init__(
        self,
        supernet: Supernet,
        recipe: SupernetRecipe,
        seed: int,
        steps_per_epoch: int,
        cost: Callable[[Architecture], float] | None = None,
        front: Sequence[Architecture] = (),
    ) -> None:
        self.supernet, self.recipe, self.seed = supernet, recipe, seed
        self.total_steps = recipe.epochs * steps_per_epoch
        self.steps_per_epoch = steps_per_epoch
        self.step = 0
        self.lowest_loss = math.inf  # mean of the best epoch so far
        self.rollbacks = 0  # each has halved the learning rate
        self.average = WeightAverage(supernet, recipe.ema_share * self.total_steps)
        self.parameters = list(supernet.parameters())  # to look them up takes as long as to clip their gradients
        self.gradients = gradients_of(supernet, recipe)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(supernet, recipe.weight_decay, recipe.step_rate), lr=recipe.learning_rate, fused=True
        )
        self.joins = joins(supernet.space, self.total_steps, (recipe.bits_after, recipe.low_bits_after))
        self.cost = cost or (
            lambda architecture: float(architecture_cost(architecture, supernet.space.num_classes).macs)
        )
        self.spaces: dict[tuple[bool, bool], SearchSpace] = {}  # what has joined: depths, widths
        self.ranges: dict[tuple[bool, bool], list[list[Architecture]]] = {}
        self.cost_bin_losses, self.front = CostBinLosses(COST_RANGES), front

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.step // self.steps_per_epoch

    def context(self, images: Tensor, labels: Tensor) -> StepContext:
        """Describe the coming step to what draws its subnets."""
        recipe, done = self.recipe, self.step / self.total_steps
        key = done >= recipe.depth_after, done >= recipe.width_after
        if key not in self.spaces:
            self.spaces[key] = joined(self.supernet.space, *key)

        def bins() -> list[list[Architecture]]:
            if key not in self.ranges:
                self.ranges[key] = by_cost(self.spaces[key], self.cost, COST_RANGES, self.seed)
            return self.ranges[key]

        @torch.no_grad()
        def score(architecture: Architecture) -> float:
            return self.supernet.ranks.mean(F.cross_entropy(self.supernet(images, architecture), labels)).item()

        return StepContext(
            space=self.spaces[key],
            step=self.step,
            seed=self.seed,
            num_random=recipe.num_random,
            done=done,
            bins=bins,
            losses=self.cost_bin_losses,
            score=score,
            gradient=self.gradient_norm,
            front=self.front,
        )

    def gradient_norm(self, name: str) -> float:
        """Return the running norm of the gradients of a shared module, from Adam's second moments; 0 before any."""
        squares, (_, beta) = 0.0, self.optimizer.defaults["betas"]
        for parameter in self.supernet.shared[name].parameters():
            moments = self.optimizer.state.get(parameter, {})
            if "exp_avg_sq" in moments:
                squares += float(moments["exp_avg_sq"].sum() / (1 - beta ** float(moments["step"])))
        return math.sqrt(squares)

    def split(self, names: Collection[str]) -> SupernetTraining:
        """Return a training that goes on with shared tensors of these names as tensors of their own."""
        sharing = replace(self.supernet.sharing, split=self.supernet.sharing.split | frozenset(names))
        supernet = Supernet(self.supernet.space, self.supernet.ranks, sharing)
        fresh = SupernetTraining(supernet, self.recipe, self.seed, self.steps_per_epoch, self.cost, self.front)
        fresh.restore(split_state(self.state(), self.supernet.aliases, supernet))
        return fresh

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that the rest of the training depends on, by name; `restore` takes it back."""
        tensors = {f"weight/{name}": tensor for name, tensor in self.supernet.state_dict().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.tensors.items()}
        for name, parameter in self.supernet.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value
        tensors["step"], tensors["rollbacks"] = torch.tensor(self.step), torch.tensor(self.rollbacks)
        tensors["range_losses"] = self.cost_bin_losses.means
        tensors["lowest_loss"] = torch.tensor(self.lowest_loss, dtype=torch.float64)
        return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what `state` gave; `NasError` where it belongs to another space."""
        weights = {name.removeprefix("weight/"): value for name, value in tensors.items() if name.startswith("weight/")}
        own = self.supernet.state_dict()
        if own.keys() != weights.keys() or any(own[name].shape != weights[name].shape for name in own):
            raise NasError("the checkpoint was written for another search space", "Start a new run with --run NEW")
        self.supernet.load_state_dict(weights)
        parameters = dict(self.supernet.named_parameters())
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, field, name = key.split("/", 2)
                self.optimizer.state[parameters[name]][field] = laid_out_as(parameters[name], value)
        self.step, self.rollbacks = int(tensors["step"]), int(tensors["rollbacks"])
        self.lowest_loss = float(tensors["lowest_loss"])
        self.cost_bin_losses.restore(tensors["range_losses"])
        averages = {name: tensors[f"average/{name}"] for name in self.average.tensors}
        self.average.restore(averages, updates=self.step)


def train_epoch(
    training: SupernetTraining,
    batches: Iterable[tuple[Tensor, Tensor]],
    on_step: Callable[[int], None] = lambda step: None,
) -> float:
    """Train one epoch on (images [b, 3, h, w], labels [b]); return the mean loss of the largest subnets.

    With several ranks, each is given its share of every batch.
    Raises `Diverged` when the loss is no longer finite, or has jumped for good.
    """
    training.supernet.train()
    losses: list[float] = []
    for images, labels in batches:
        losses.append(train_step(training, images, labels))
        check_jump(training.step, losses, training.lowest_loss)
        on_step(training.step)
    mean = sum(losses) / len(losses)
    training.lowest_loss = min(training.lowest_loss, mean)
    return mean


def train_step(training: SupernetTraining, images: Tensor, labels: Tensor) -> float:
    """Train the subnets of one step on one batch; return the loss of the largest.

    Raises `Diverged`, and leaves the weights as they were, when the loss or a gradient is not finite.
    """
    recipe = training.recipe
    widths = enabled_widths(training, images)
    architectures = sandwich(training.context(images, labels), recipe.sampling, widths, recipe.rotate_smallest)
    images, labels = mixed_share(training, images, labels)
    training.optimizer.zero_grad(set_to_none=True)  # AdamW then leaves weights that no subnet used as they are
    loss = training.gradients.add(architectures, images, labels)
    norm = torch.nn.utils.clip_grad_norm_(training.parameters, recipe.clip_norm)
    check_finite(training.step, loss=loss, gradient=norm.item())
    rate = learning_rate(training.step, training.total_steps, recipe.learning_rate, recipe.warmup_fraction)
    set_rate(training.optimizer, rate * ROLLBACK_RATE**training.rollbacks)
    training.optimizer.step()
    training.step += 1
    training.average.update()
    return loss


def mixed_share(training: SupernetTraining, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mix a batch by the recipe; ranks mix all of it alike, and each keeps its share."""
    recipe, supernet = training.recipe, training.supernet
    if not (recipe.mixup or recipe.cutmix):
        return images, labels
    ranks, seed = supernet.ranks, [training.seed, training.step]
    whole = ranks.whole(images), ranks.whole(labels)
    images, labels = mixed(*whole, supernet.space.num_classes, recipe.mixup, recipe.cutmix, seed)
    return images[ranks.share], labels[ranks.share]


def enabled_widths(training: SupernetTraining, images: Tensor) -> tuple[int, ...]:
    """Return the integer bit-widths that are trained by now; those that join at this step get their first steps."""
    for bits, start in training.joins.items():
        if start == training.step:
            begin_steps(training.supernet, bits, training.supernet.ranks.whole(images), training.seed)
            training.average.follow("log_step")
    return tuple(bits for bits, start in training.joins.items() if start <= training.step)
