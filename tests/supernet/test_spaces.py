"""Every shipped space works: it is built and runs its ends, some samples and every preset."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nas.nn.subnet import build_subnet
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces
from nas.supernet.supernet import Supernet

REAL = {"toy", "scan-mix-tiny"}  # the others are built without memory
MAX_OPERATORS = 20_000  # more would take days to measure
LARGE = {"scan-mix": 1e20, "scan-mix-small": 1e15, "vim-plain": 1e20, "mobile-conv": 1e19, "vit-elastic": 1e9}


def drawn(space):
    """Both ends, three samples and every preset of a space."""
    rng = np.random.default_rng(0)
    presets = [preset.architecture for preset in space.presets.values()]
    return list(dict.fromkeys([space.smallest(), space.largest(), *(space.sample(rng) for _ in range(3)), *presets]))


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_space_is_built_and_runs_its_ends_samples_and_presets(name):
    space = SearchSpace.load(name)
    device = torch.device("cpu" if name in REAL else "meta")
    with device, torch.no_grad():
        supernet = Supernet(space).eval()
        for architecture in drawn(space):
            images = torch.zeros(1, 3, architecture.resolution, architecture.resolution)
            alone = build_subnet(architecture, space.num_classes).eval()
            assert alone(images).shape == (1, space.num_classes)
            if name in REAL or architecture in (space.smallest(), space.largest()):
                assert supernet(images, architecture).shape == (1, space.num_classes)


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_space_knows_the_genome_the_cost_and_the_operators_of_its_ends_samples_and_presets(name):
    space = SearchSpace.load(name)
    operators = set(space.operators())
    assert len(operators) <= MAX_OPERATORS
    assert space.size >= LARGE.get(name, 1)
    low = architecture_cost(space.smallest(), space.num_classes).macs
    high = architecture_cost(space.largest(), space.num_classes).macs
    for architecture in drawn(space):
        assert architecture in space
        assert space.decode(space.encode(architecture)) == architecture
        cost = architecture_cost(architecture, space.num_classes)
        assert low <= cost.macs <= high and 0 < cost.num_params < math.inf
        assert set(space.operators_of(architecture)) <= operators


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_presets_of_a_space_are_different_networks_with_a_source(name):
    presets = SearchSpace.load(name).presets
    assert presets
    assert len({preset.architecture for preset in presets.values()}) == len(presets)
    assert all(preset.source.strip() for preset in presets.values())


def test_the_published_designs_are_presets_of_the_spaces_that_have_all_kinds():
    published = {
        *("vim", "vmamba", "plainmamba", "localmamba", "efficientvmamba", "groupmamba", "msvmamba", "vssd"),
        *("efficientvim", "spatial-mamba", "hi-mamba", "mhs-vm", "mambaout", "mambavision", "vcmamba"),
        *("metaformer", "poolformer"),
    }
    for name in ("scan-mix", "scan-mix-small"):
        assert published <= SearchSpace.load(name).presets.keys()
