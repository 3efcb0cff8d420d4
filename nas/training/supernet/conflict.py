"""Kinds that pull a tensor they hold in common in opposite directions, and what to do: each gets its own.

Few-shot NAS by gradient matching (Hu et al. 2022, arXiv 2203.15207), for shared tensors instead of whole supernets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.space.search_space import SearchSpace
from nas.supernet.slicing import take_slice
from nas.supernet.supernet import Supernet, place_of
from nas.training.supernet.fair_sampling import with_kinds


def cosines(supernet: Supernet, batches: Sequence[tuple[Tensor, Tensor]], seed: int) -> dict[str, float]:
    """Return for each further name of a shared tensor the mean cosine of its gradients by that kind and by the first.

    For every batch of (images [n, 3, h, w], labels [n]) a largest architecture is drawn, and put together once with
    either kind in the place of the tensor, so that nothing else differs. Weights and statistics stay as they are.
    """
    twin = supernet.twin().train()
    pairs = sorted({(home.partition(".")[0], alias.partition(".")[0]) for alias, home in twin.aliases.items()})
    angles: dict[str, list[float]] = {alias: [] for alias in twin.aliases}
    for number, (images, labels) in enumerate(batches):
        rng = np.random.default_rng([seed, number, 11])
        kinds = random_kinds(twin.space, rng)
        for home, other in pairs:
            names = [alias for alias in twin.aliases if alias.startswith(f"{other}.")]
            one, two = (gradients(twin, kinds, module, names, images, labels, seed) for module in (home, other))
            for name in names:
                angles[name].append(cosine(one[name], two[name]))
    return {name: float(np.mean(each)) for name, each in angles.items()}


def gradients(
    supernet: Supernet,
    kinds: list[list[str]],
    module: str,
    names: Sequence[str],
    images: Tensor,
    labels: Tensor,
    seed: int,
) -> dict[str, Tensor]:
    """Return the gradients of shared tensors, by name, of the largest architecture with one module in its place."""
    stage, block, kind = place_of(module)
    row = [*kinds[stage]]
    row[block] = kind
    rng = np.random.default_rng([seed, 12])
    architecture = with_kinds(supernet.space, [*kinds[:stage], row, *kinds[stage + 1 :]], rng, max)
    loss = F.cross_entropy(supernet(images, architecture), labels)
    tensors = [supernet.shared.get_parameter(name) for name in names]
    made = torch.autograd.grad(loss, tensors, allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if grad is None else grad
        for name, tensor, grad in zip(names, tensors, made, strict=True)
    }


def random_kinds(space: SearchSpace, rng: np.random.Generator) -> list[list[str]]:
    """Draw a kind for every slot."""
    return [[str(rng.choice(sorted(stage.kinds))) for _ in range(max(stage.depths))] for stage in space.stages]


def cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine of two gradients; 0 where one vanishes."""
    return float(F.cosine_similarity(one.flatten(), other.flatten(), 0))


def split_state(state: Mapping[str, Tensor], aliases: Mapping[str, str], fresh: nn.Module) -> dict[str, Tensor]:
    """Return a training's state to a `fresh` supernet in which some of `aliases` are tensors of their own.

    Each begins as a copy of the slice that it was: weight, average and moments of the optimiser.
    """
    made = {name: tensor for name, tensor in state.items() if "shared." not in name}
    prefixes = sorted({name.partition("shared.")[0] for name in state if "shared." in name})
    for name, own_tensor in fresh.state_dict().items():
        home = f"shared.{aliases[own]}" if (own := name.removeprefix("shared.")) in aliases else name
        for prefix in prefixes:
            if (tensor := state.get(f"{prefix}{name}", state.get(f"{prefix}{home}"))) is not None:
                fits = take_slice(tensor, own_tensor.shape) if tensor.dim() == own_tensor.dim() else tensor
                made[f"{prefix}{name}"] = fits.clone()
    return made
