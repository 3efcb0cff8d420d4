import numpy as np
import pytest
import torch

import nas
from nas.export.onnx import export_onnx
from nas.nn.blocks import build_operator, fold_norms
from nas.space.cost import operator_cost
from nas.space.operator import place_stem, place_step, stage_grids
from nas.space.search_space import parse_space
from nas.supernet.supernet import Supernet

STEMS = ["conv", "double-conv", "patch-4", "patch-8"]
SPACE = """name: stemmed
num_classes: 10
resolution: [32]
stem: STEM
stages:
  - {width: [8, 16], depth: [1], blocks: {basic: {}}}
  - {width: [8, 24], stride: 1, depth: [1, 2], blocks: {conv: {kernel: [3], expansion: [1, 2]}}}
  - {width: [16], depth: [1], blocks: {basic: {}}}
"""


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("resolution", [32, 24])
def test_a_stem_makes_the_grid_and_has_the_parameters_that_are_promised(stem, resolution):
    op = place_stem(stem, 15, resolution)
    module = fold_norms(build_operator(op))
    (grid,) = stage_grids(stem, resolution, [2])
    assert module(torch.randn(2, 3, resolution, resolution)).shape == (2, 15, grid, grid)
    assert sum(parameter.numel() for parameter in module.parameters()) == operator_cost(op).num_params


def test_a_step_of_stride_1_keeps_the_grid():
    for stride, grid in ((1, 7), (2, 4)):
        op = place_step(stride, 8, 12, 7)
        module = fold_norms(build_operator(op))
        assert module(torch.randn(2, 8, 7, 7)).shape == (2, 12, grid, grid)
        assert sum(parameter.numel() for parameter in module.parameters()) == operator_cost(op).num_params


def test_every_token_of_a_patch_stem_has_a_position_of_its_own():
    module = build_operator(place_stem("patch-4", 8, 16))
    with torch.no_grad():
        module.patches.weight.zero_()
        module.patches.bias.zero_()
        out = module(torch.randn(1, 3, 16, 16))
    assert torch.equal(out.flatten(2)[0], module.position)


@pytest.mark.parametrize("stem", STEMS)
def test_subnets_behind_any_stem_run_on_slices_and_extract_to_the_same(stem, make_supernet, images):
    space = parse_space(SPACE.replace("STEM", stem), "stemmed.yaml")
    supernet = make_supernet(space)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for architecture in [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(5))]:
            model = nas.extract(supernet, architecture)
            torch.testing.assert_close(model(images), supernet(images, architecture), rtol=1e-5, atol=1e-5)


def test_the_shared_modules_are_named_by_what_the_step_does():
    supernet = Supernet(parse_space(SPACE.replace("STEM", "conv"), "stemmed.yaml"))
    assert {"stem", "stage1-widen", "stage2-downsample"} <= set(supernet.shared)


@pytest.mark.parametrize("op", [*(place_stem(stem, 15, 32) for stem in STEMS), place_step(1, 8, 12, 7)], ids=str)
def test_stems_and_steps_are_exported_as_they_are(op):
    import onnxruntime

    module = fold_norms(build_operator(op))
    shape = (1, op.in_channels, op.grid, op.grid)
    x = torch.randn(shape)
    session = onnxruntime.InferenceSession(export_onnx(module, shape), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), module(x), rtol=1e-4, atol=1e-5)
