"""Trains a supernet: the loop, its recipe and its exactly resumable state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import NasError, did_you_mean
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import by_cost
from nas.supernet.averaging import WeightAverage
from nas.supernet.divergence import check_finite, check_jump
from nas.supernet.losses import LOSSES, child_loss
from nas.supernet.phases import begin_steps, joins
from nas.supernet.sampling import SAMPLINGS, Turn, sandwich
from nas.supernet.shrinking import joined
from nas.supernet.supernet import Supernet

ROLLBACK_RATE = 0.5  # by which each roll-back multiplies the learning rate
COST_RANGES = 20  # of latency or MACs, that some samplings draw from


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetRecipe:
    """How a supernet is trained. Every step trains the largest, the smallest and `num_random` random subnets."""

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 0.02
    warmup_fraction: float = 0.05
    clip_norm: float = 5.0
    ema_share: float = 0.04  # of all steps, that the average of the weights looks back over
    distill: float = 0.3
    num_random: int = 2
    sampling: str = "rotation"  # one of SAMPLINGS
    sampling_device: str = ""  # whose latency table gives the ranges of costs; MACs without one
    loss: str = "distillation"  # one of LOSSES
    split_batch: bool = False  # each random subnet sees its share of the batch only
    warm_start: str = ""  # a run, or a safetensors file, whose weights it begins with
    depth_after: float = 0.0  # share of all steps that only the largest depths are trained
    width_after: float = 0.0  # and only the largest widths, resolutions and settings of blocks
    bits_after: float = 0.5  # share of all steps that only float subnets are trained, where a space has integer bits
    low_bits_after: float = 0.75  # and that no subnets of fewer than 8 bits are
    step_rate: float = 0.1  # learning rate of quantisers' steps, as a share of that of weights

    def __post_init__(self) -> None:
        for name, known in (("sampling", SAMPLINGS), ("loss", LOSSES)):
            value = getattr(self, name)
            if value not in known:
                raise NasError(f"no {name} '{value}'", did_you_mean(value, known))


class SupernetTraining:
    """The state of a training: weights, their moving average, optimiser and the number of steps done.

    The random subnets of a step are trained by a second thread on a twin of the supernet. Two threads on different
    subnets need no barrier within an operation: beside other work on the same cores they are not slowed down tenfold,
    as one subnet spread over two cores is (measured), and on free cores they are a tenth faster.
    """

    def __init__(
        self,
        supernet: Supernet,
        recipe: SupernetRecipe,
        seed: int,
        steps_per_epoch: int,
        cost: Callable[[Architecture], float] | None = None,
    ) -> None:
        self.supernet, self.recipe, self.seed = supernet, recipe, seed
        self.total_steps = recipe.epochs * steps_per_epoch
        self.steps_per_epoch = steps_per_epoch
        self.step = 0
        self.lowest_loss = math.inf  # mean of the best epoch so far
        self.rollbacks = 0  # each has halved the learning rate
        self.average = WeightAverage(supernet, recipe.ema_share * self.total_steps)
        self.twin = supernet.twin()
        self.parameters = list(supernet.parameters())  # to look them up takes as long as to clip their gradients
        self.twin_parameters = list(self.twin.parameters())
        self.second_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="supernet-twin")
        self.optimizer = torch.optim.AdamW(
            parameter_groups(supernet, recipe.weight_decay, recipe.step_rate), lr=recipe.learning_rate, fused=True
        )
        self.joins = joins(supernet.space, self.total_steps, (recipe.bits_after, recipe.low_bits_after))
        self.cost = cost or (lambda each: float(architecture_cost(each, supernet.space.num_classes).macs))
        self.spaces: dict[tuple[bool, bool], SearchSpace] = {}  # what has joined: depths, widths
        self.ranges: dict[tuple[bool, bool], list[list[Architecture]]] = {}

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.step // self.steps_per_epoch

    def turn(self, images: Tensor, labels: Tensor) -> Turn:
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
            return F.cross_entropy(self.supernet(images, architecture), labels).item()

        return Turn(
            space=self.spaces[key],
            step=self.step,
            seed=self.seed,
            num_random=recipe.num_random,
            done=done,
            bins=bins,
            score=score,
            gradient=self.gradient_norm,
        )

    def gradient_norm(self, name: str) -> float:
        """Give the running norm of the gradients of a shared module, as Adam's second moments hold it; 0 before any."""
        squares, (_, beta) = 0.0, self.optimizer.defaults["betas"]
        for parameter in self.supernet.shared[name].parameters():
            moments = self.optimizer.state.get(parameter, {})
            if "exp_avg_sq" in moments:
                squares += float(moments["exp_avg_sq"].sum() / (1 - beta ** float(moments["step"])))
        return math.sqrt(squares)

    def state(self) -> dict[str, Tensor]:
        """Give every tensor that the rest of the training depends on, by name; `restore` takes it back."""
        tensors = {f"weight/{name}": tensor for name, tensor in self.supernet.state_dict().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.tensors.items()}
        for name, parameter in self.supernet.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value
        tensors["step"], tensors["rollbacks"] = torch.tensor(self.step), torch.tensor(self.rollbacks)
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
        averages = {name: tensors[f"average/{name}"] for name in self.average.tensors}
        self.average.restore(averages, updates=self.step)


def laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Copy a value into the memory format of its parameter, which the fused optimiser takes for granted."""
    return value.clone() if value.shape != parameter.shape else torch.empty_like(parameter).copy_(value).detach()


def parameter_groups(module: nn.Module, weight_decay: float, step_rate: float = 1.0) -> list[dict[str, Any]]:
    """Split parameters: vectors do not decay, in whatever network - norms, biases, the state-space parameters.

    The steps of quantisers learn at `step_rate` times the rate of the others: `rate_factor` of their group.
    """
    steps = [parameter for name, parameter in module.named_parameters() if "log_step" in name]
    held = {id(parameter) for parameter in steps}
    others = [parameter for parameter in module.parameters() if id(parameter) not in held]
    decayed = [parameter for parameter in others if parameter.dim() > 1]
    free = [parameter for parameter in others if parameter.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [*groups, {"params": steps, "weight_decay": 0.0, "rate_factor": step_rate}] if steps else groups


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)


def learning_rate(step: int, total_steps: int, peak: float, warmup_fraction: float) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warmup = max(1, int(total_steps * warmup_fraction))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))


def train_epoch(
    training: SupernetTraining,
    batches: Iterable[tuple[Tensor, Tensor]],
    on_step: Callable[[int], None] = lambda step: None,
) -> float:
    """Train one epoch on (images [b, 3, h, w], labels [b]); give the mean loss of the largest subnets.

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
    """Train the subnets of one step on one batch; give the loss of the largest.

    Gradients are summed in a fixed order, whichever thread is done first. Raises `Diverged`, and leaves the weights as
    they were, when the loss or a gradient is not finite.
    """
    recipe, supernet, twin = training.recipe, training.supernet, training.twin
    widths = enabled_widths(training, images)
    largest, *drawn, smallest = sandwich(training.turn(images, labels), recipe.sampling, widths)
    training.optimizer.zero_grad(set_to_none=True)  # AdamW then leaves weights that no subnet used as they are
    for parameter in training.twin_parameters:
        parameter.grad = None
    teacher: Future[Tensor] = Future()
    parts = len(drawn) if recipe.split_batch else 1
    beside = training.second_thread.submit(train_children, twin, drawn, images, labels, teacher, recipe, parts)
    try:
        logits = supernet(images, largest)
        teacher.set_result(logits.detach())
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        train_children(supernet, [smallest], images, labels, teacher, recipe, 1)
    finally:
        teacher.cancel()  # does nothing once it has its result; else it ends the other thread's wait
        wait([beside])
    beside.result()
    add_gradients(training.parameters, training.twin_parameters)
    norm = torch.nn.utils.clip_grad_norm_(training.parameters, recipe.clip_norm)
    check_finite(training.step, loss=loss.item(), gradient=norm.item())
    rate = learning_rate(training.step, training.total_steps, recipe.learning_rate, recipe.warmup_fraction)
    set_rate(training.optimizer, rate * ROLLBACK_RATE**training.rollbacks)
    training.optimizer.step()
    training.step += 1
    training.average.update()
    return loss.item()


def enabled_widths(training: SupernetTraining, images: Tensor) -> tuple[int, ...]:
    """Give the integer bit-widths that are trained by now; those that join at this step get their first steps."""
    for bits, start in training.joins.items():
        if start == training.step:
            begin_steps(training.supernet, bits, images, training.seed)
            training.average.follow("log_step")
    return tuple(bits for bits, start in training.joins.items() if start <= training.step)


def train_children(
    supernet: Supernet,
    architectures: Sequence[Architecture],
    images: Tensor,
    labels: Tensor,
    teacher: Future[Tensor],
    recipe: SupernetRecipe,
    parts: int,
) -> None:
    """Add the gradients of some subnets; all run forward before the first one waits for the teacher's logits.

    The batch is cut into `parts`, which the subnets see in turn (several architectures per batch: Liao et al. 2021,
    ViT-ResNAS, arXiv 2109.00642).
    """
    shares = [range(k * len(labels) // parts, (k + 1) * len(labels) // parts) for k in range(parts)]
    taken = [slice(shares[k % parts].start, shares[k % parts].stop) for k in range(len(architectures))]
    outputs = [supernet(images[share], each) for share, each in zip(taken, architectures, strict=True)]
    for logits, share in zip(outputs, taken, strict=True):
        loss = child_loss(logits, teacher.result()[share], labels[share], recipe.distill, recipe.loss)
        (loss / parts).backward()


def add_gradients(parameters: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Add the gradients of `others` to those of the first ones."""
    for own, other in zip(parameters, others, strict=True):
        if other.grad is not None:
            own.grad = other.grad if own.grad is None else own.grad.add_(other.grad)
