"""Trains one network for its own sake: a searched one or a hand-designed one, by one and the same recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.data.splits import Dataset, batches
from nas.errors import NasError
from nas.nn.subnet import Subnet, resize
from nas.nn.timm_model import ReferenceModel
from nas.training.divergence import Diverged, check_finite
from nas.training.ema import WeightAverage
from nas.training.losses import distillation
from nas.training.mixup import mixed
from nas.training.optimizer import learning_rate, parameter_groups, set_rate
from nas.training.randaugment import augmented
from nas.training.sparsity import parse_sparsity, settle, sparsify

OnStep = Callable[[int, int], None]  # steps done, steps in all
FIRST_SIDE = 0.75  # of images that grow, as a share of their side: 56 % of the tokens
GRAIN = 4  # pixels by which they grow
FIRST_EPOCH = 100_000  # far from the epochs of a supernet, whose samples a subnet has seen already


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one network is trained: AdamW, warm-up and half a cosine, clipped gradients, averaged weights."""

    epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_fraction: float = 0.05
    clip_norm: float = 5.0
    ema_share: float = 0.04  # of all steps, that the average of the weights looks back over
    distill: float = 0.0  # weight of a teacher's probabilities in the loss; the teacher is the largest subnet
    smoothing: float = 0.0  # of the labels
    mixup: float = 0.0  # alpha of Mixup; with both, one of the two for each batch
    cutmix: float = 0.0  # alpha of CutMix
    randaugment: int = 0  # magnitude of RandAugment, up to 30; 0: none
    sparsity: str = ""  # such as 2:4: of every four weights in a row of a Linear layer two stay
    grow_images: float = 0.0  # share of the steps in which images grow to their full size: fewer tokens at first
    step_rate: float = 0.1  # learning rate of quantisers' steps, as a share of that of weights
    bits_epochs: int = 1  # that a network with integer bits is trained on, after its float parent
    bits_rate: float = 0.1  # learning rate of these, as a share of the parent's
    bits_distill: float = 0.7  # weight of the parent's probabilities in their loss

    def __post_init__(self) -> None:
        if self.sparsity:
            parse_sparsity(self.sparsity)

    def describe(self) -> str:
        """Name the recipe in one line."""
        more = [
            f"{name} {getattr(self, name):g}"
            for name in ("distill", "smoothing", "mixup", "cutmix", "randaugment")
            if getattr(self, name)
        ]
        return ", ".join(
            [
                f"AdamW {self.learning_rate:g}, cosine, weight decay {self.weight_decay:g}, batch {self.batch_size}, "
                f"EMA over {self.ema_share:.0%} of the steps, cross-entropy",
                *more,
                *([f"images that grow over {self.grow_images:.0%} of the steps"] if self.grow_images else []),
                *([f"sparsity {self.sparsity}"] if self.sparsity else []),
            ]
        )


def count_steps(dataset: Dataset, recipe: Recipe) -> int:
    """Return the number of steps of a training; `NasError` where not even one batch is full."""
    per_epoch = dataset.num_train // recipe.batch_size
    if per_epoch == 0:
        raise NasError(
            f"'{dataset.name}' has {dataset.num_train} training images, fewer than a batch of {recipe.batch_size}",
            "--set batch_size=8",
        )
    return recipe.epochs * per_epoch


def train_model(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    on_step: OnStep = lambda step, total: None,
    teacher: nn.Module | None = None,
) -> nn.Module:
    """Train `model` on fresh samples of `dataset`; return a copy of it with averaged weights, in eval mode.

    With a `teacher`, towards its probabilities as well: `recipe.distill` of the loss.
    `on_step(steps done, steps in all)` is called after every step. Raises `NasError` when the loss is not finite.
    """
    try:
        *_, average = train_epochs(model, dataset, recipe, seed, on_step, teacher)
    except Diverged as error:
        raise NasError(f"the training diverged: {error}", "--set learning_rate=0.001") from error
    return averaged(average)


def train_epochs(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    on_step: OnStep = lambda step, total: None,
    teacher: nn.Module | None = None,
) -> Iterator[WeightAverage]:
    """Train as `train_model` does; yield the average of the weights after each epoch; or raise `Diverged`."""
    sparse = sparsify(model, recipe.sparsity)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, recipe.weight_decay, recipe.step_rate), lr=recipe.learning_rate, fused=True
    )
    total = count_steps(dataset, recipe)
    average = WeightAverage(model, recipe.ema_share * total)
    step = 0
    for epoch in range(FIRST_EPOCH, FIRST_EPOCH + recipe.epochs):
        model.train()
        rng = np.random.default_rng([seed, epoch])
        parts = batches(dataset.train(epoch), recipe.batch_size, rng, drop_last=True)
        for images, labels in augmented(parts, dataset, recipe.randaugment, [seed, epoch]):
            for part in sparse:
                part.narrow(step / total)
            set_rate(optimizer, learning_rate(step, total, recipe.learning_rate, recipe.warmup_fraction))
            images, labels = mixed(images, labels, dataset.num_classes, recipe.mixup, recipe.cutmix, [seed, step])
            optimizer.zero_grad(set_to_none=True)
            logits = run_at(model, images, step / total, recipe.grow_images)
            loss = loss_of(logits, images, labels, teacher, recipe)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            average.update()
            step += 1
            on_step(step, total)
        check_finite(step, loss=loss.item())
        yield average


def run_at(model: nn.Module, images: Tensor, share: float, grow: float) -> Tensor:
    """Return the logits of a model after a share of its training, on smaller images while they still grow.

    Progressive image size (Tan & Le 2021, arXiv 2104.00298): a network of grids then has fewer tokens, as in token
    expansion (Huang et al. 2024). A model that takes one size only is trained on that.
    """
    if share >= grow or not isinstance(model, (Subnet, ReferenceModel)) or takes_one_size(model):
        return model(images)
    layers = model.layers if isinstance(model, Subnet) else model.model
    return layers(resize(images, grown_side(model.resolution, share / grow)))


def takes_one_size(model: nn.Module) -> bool:
    """Whether a network has an embedding for each place of its patches."""
    return any(getattr(part, "strict_img_size", False) for part in model.modules())


def grown_side(resolution: int, share: float) -> int:
    """Return the side of images in pixels after a share of their growth, a multiple of GRAIN."""
    side = resolution * (FIRST_SIDE + (1 - FIRST_SIDE) * share)
    return min(resolution, GRAIN * max(1, round(side / GRAIN)))


def averaged(average: WeightAverage) -> nn.Module:
    """Return a copy of a module with its averaged weights, in eval mode."""
    trained = copy.deepcopy(average.module)
    trained.load_state_dict(average.state_dict())
    return settle(trained).eval()


def loss_of(logits: Tensor, images: Tensor, labels: Tensor, teacher: nn.Module | None, recipe: Recipe) -> Tensor:
    """Cross-entropy to the labels, mixed with that to the probabilities of a teacher if there is one."""
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)
    if teacher is None or not recipe.distill:
        return loss
    with torch.no_grad():
        taught = teacher(images)
    return recipe.distill * distillation(logits, taught) + (1 - recipe.distill) * loss
