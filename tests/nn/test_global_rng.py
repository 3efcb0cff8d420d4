import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from nas.nn.global_rng import exclusive, seeded
from nas.nn.subnet import build_subnet
from nas.space.architecture import Architecture
from nas.training.mixup import mixed
from nas.training.quantized import quantize_model
from nas.workflows.network_training.candidates import fresh_subnet

ROOT = Path(__file__).parents[2]
SEEDING = {"manual_seed", "seed", "fork_rng", "set_rng_state"}  # of torch, or of torch.random


def seeds_torch(node: ast.AST) -> bool:
    """Whether a call seeds or forks torch's global generator; one on a generator of its own does not."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEEDING):
        return False
    return ast.unparse(node.func.value) in ("torch", "torch.random")


@pytest.mark.parametrize("path", sorted((ROOT / "nas").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_module_seeds_or_forks_the_generator_of_torch(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert path.name == "global_rng.py" or not any(seeds_torch(node) for node in ast.walk(tree))


def weights_of(architecture: Architecture) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in fresh_subnet(architecture, 10, seed=3).state_dict().values()]


def test_threads_that_build_mix_and_quantise_at_once_draw_what_each_would_draw_without_the_others(toy):
    architecture, images, labels = toy.smallest(), torch.rand(8, 3, 16, 16), torch.arange(8)

    def mix() -> list[torch.Tensor]:
        return list(mixed(images, labels, 10, mixup=0.8, cutmix=1.0, seed=[5]))

    def build() -> list[torch.Tensor]:
        return weights_of(architecture)

    parent = build_subnet(architecture, 10).eval()

    def quantise() -> list[torch.Tensor]:  # builds a network, whose weights it overwrites
        return list(quantize_model(parent, architecture, 10, images).state_dict().values())

    work = {build: build(), mix: mix(), quantise: quantise()}
    with ThreadPoolExecutor(4) as pool:
        results = [(task, pool.submit(task)) for _ in range(250) for task in work]
        differ = sum(
            any(not torch.equal(one, other) for one, other in zip(work[task], result.result(), strict=True))
            for task, result in results
        )
    assert differ == 0


def test_the_state_of_the_generator_is_what_it_was_before():
    before = torch.get_rng_state()
    with seeded(1), exclusive():
        first = torch.rand(3)
    with seeded(1):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)
