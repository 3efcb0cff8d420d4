"""What holds for every kind of block, and for a new one at once."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from nas.export.onnx import export_onnx
from nas.hardware.measurement.profile import in_frame
from nas.nn.blocks import BLOCKS, build_operator, fold_norms
from nas.nn.layer_scale import LAYER_SCALE
from nas.space.kinds import KINDS
from nas.supernet.slicing import Slices

every_kind = pytest.mark.parametrize("kind", KINDS)
WIDE, NARROW = 16, 8


def built(op, seed=0):
    """A block away from its initial state, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build_operator(op)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "running_var" in name:
                tensor.mul_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    return module.eval()


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def index_of(have, want):
    """Where the entries of a smaller tensor lie in a larger one: first channels, centre of kernels."""
    index = []
    for axis, (large, small) in enumerate(zip(have, want, strict=True)):
        start = (large - small) // 2 if len(want) == 4 and axis >= 2 else 0
        index.append(slice(start, start + small))
    return tuple(index)


def cut(shared, op):
    """A standalone block whose every tensor was copied out of the larger block's."""
    module, source = build_operator(op).eval(), shared.state_dict()
    module.load_state_dict(
        {name: source[name][index_of(source[name].shape, own.shape)] for name, own in module.state_dict().items()}
    )
    return module


def smaller_ones(kind, operator_of, grid):
    """The largest block, and smaller ones that differ from it in one setting, in the width, and in everything."""
    large = operator_of(kind, WIDE, grid, "large")
    small = dict(operator_of(kind, NARROW, grid).settings)
    changes = [{name: value} for name, value in small.items() if name != "mode"]
    changes += [{"mode": "group", "directions": ("v_flip", "h")}] if "mode" in small else []
    return large, [
        large,
        *(operator_of(kind, WIDE, grid, "large", **change) for change in changes),
        operator_of(kind, NARROW, grid, "large"),
        operator_of(kind, NARROW, grid),
    ]


def test_every_kind_can_be_built():
    assert set(KINDS) <= set(BLOCKS)


@every_kind
@pytest.mark.parametrize("grid", [6, 9])
def test_a_slice_computes_what_a_block_with_copied_prefixes_does(kind, grid, operator_of):
    large, ops = smaller_ones(kind, operator_of, grid)
    shared = built(large)
    for op in ops:
        x = noise(2, op.in_channels, grid, grid)
        with torch.device("meta"):
            skeleton = build_operator(op).eval()
        with torch.no_grad():
            torch.testing.assert_close(Slices(shared, skeleton).run(x, {}), cut(shared, op)(x), rtol=1e-6, atol=1e-6)


@every_kind
def test_the_largest_block_is_the_unsliced_module(kind, operator_of):
    op = operator_of(kind, WIDE, 6, "large")
    shared, x = built(op), noise(2, WIDE, 6, 6)
    with torch.no_grad():
        assert torch.equal(Slices(shared, build_operator(op).eval()).run(x, {}), shared(x))


@every_kind
def test_gradients_outside_the_slice_are_zero_or_none_and_inside_are_not(kind, operator_of):
    shared, op = built(operator_of(kind, WIDE, 6, "large")).train(), operator_of(kind, NARROW, 6)
    skeleton = build_operator(op).train()
    y = Slices(shared, skeleton).run(noise(2, NARROW, 6, 6), {})
    (y * noise(*y.shape, seed=2)).sum().backward()
    wanted = dict(skeleton.named_parameters())
    for name, parameter in shared.named_parameters():
        if name not in wanted:
            assert parameter.grad is None, name
            continue
        inside = index_of(parameter.shape, wanted[name].shape)
        assert parameter.grad[inside].abs().sum() > 0 or name == "mixer.key.bias", name
        parameter.grad[inside] = 0
        assert not parameter.grad.any(), name


@every_kind
def test_folding_changes_no_output_and_leaves_no_norm_or_scale_that_folds(kind, operator_of):
    op = operator_of(kind, WIDE, 7, "large")
    module, x = built(op), noise(2, WIDE, 7, 7)
    with torch.no_grad():
        before = module(x)
        torch.testing.assert_close(fold_norms(module)(x), before, rtol=1e-5, atol=1e-5)
        once = module(x)
        assert torch.equal(fold_norms(module)(x), once)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    assert not [name for name, _ in module.named_parameters() if name.endswith((".scale", "head_norm.weight"))]


@every_kind
def test_a_branch_starts_at_the_common_scale_and_no_kind_starts_as_the_identity(kind, operator_of):
    torch.manual_seed(0)
    module, x = build_operator(operator_of(kind, WIDE, 8)).train(), noise(4, WIDE, 8, 8)
    parameters = dict(module.named_parameters())
    assert any(p.dim() == 1 and torch.equal(p, torch.full_like(p, LAYER_SCALE)) for p in parameters.values())
    added = module(x) - (x.relu() if kind == "basic" else x)
    assert 1e-3 < added.std() < 1.0


@every_kind
@pytest.mark.parametrize("grid", [(7, 7), (9, 9), (13, 13), (5, 9), (1, 1), (12, 4)])
def test_any_grid_is_mapped_to_itself_and_images_do_not_see_each_other(kind, grid, operator_of):
    module, x = built(operator_of(kind, WIDE, grid[0])), noise(3, WIDE, *grid)
    with torch.no_grad():
        y = module(x)
        assert y.shape == x.shape and y.isfinite().all()
        torch.testing.assert_close(module(x[1:2]), y[1:2], rtol=1e-5, atol=1e-5)
        backwards = x.flip(3).flip(3).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        torch.testing.assert_close(module(backwards), y, rtol=1e-5, atol=1e-5)


@every_kind
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("grid", [7, 9])
def test_a_deployed_block_computes_the_same_in_onnxruntime(kind, size, grid, operator_of):
    module, x = fold_norms(built(operator_of(kind, WIDE, grid, size))), noise(1, WIDE, grid, grid)
    framed = in_frame(WIDE, lambda: module)  # as it is profiled
    (y,) = ort.InferenceSession(export_onnx(framed, x.shape)).run(None, {"images": x.numpy()})
    with torch.no_grad():
        expected = framed(x).numpy()
    assert np.linalg.norm(y - expected) <= 1e-4 * np.linalg.norm(expected)


@every_kind
def test_bfloat16_autocast_stays_near_float32(kind, operator_of):
    module, x = built(operator_of(kind, WIDE, 9)).train(), noise(2, WIDE, 9, 9)
    expected = module(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = module(x)
    y.float().square().mean().backward()
    assert y.isfinite().all() and all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)
    assert (y - expected).norm() <= 0.03 * expected.norm()


@every_kind
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_block_computes_in_half_precision_when_it_is_converted_to_it(kind, size, dtype, operator_of):
    op = operator_of(kind, WIDE, 7, size)  # windows of 3 do not divide the grid
    block, images = fold_norms(built(op)), noise(2, WIDE, 7, 7)
    with torch.no_grad():
        wanted, found = block(images), block.to(dtype)(images.to(dtype))
    assert found.dtype is dtype
    torch.testing.assert_close(found.float(), wanted, atol=0.1 * float(wanted.abs().max()), rtol=0)
