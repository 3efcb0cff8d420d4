"""Exported codes are the trained ones, and what a runtime computes with them is what was trained."""

import platform

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from nas.errors import NasError
from nas.export.kernels import integer_kernels, promised_kernels
from nas.export.onnx import export_onnx
from nas.export.qdq import FINER, SAFE_8_BIT, write_qdq
from nas.hardware.backends.onnxruntime import needs_precise_kernels
from nas.hardware.device import CPUINFO
from nas.nn.biases import round_biases
from nas.nn.quantizer import TensorQuantizer, WeightQuantizer, quantize
from nas.space.kinds import KINDS

ENDS = ("stem", "double-stem", "patch-stem", "downsample", "widen", "head")
CASES = [(kind, bits) for kind in (*ENDS, *KINDS) for bits in (8, 4)]


def stored_codes(model):
    """The initialisers that are dequantised as weights, directly or once they are widened."""
    graph = onnx.load_from_string(model).graph
    stored = {each.name: each for each in graph.initializer}
    read = {node.input[0] for node in graph.node if node.op_type in ("DequantizeLinear", "Cast")}
    return [stored[name] for name in sorted(read & stored.keys())]


def last_step(module):
    return [part for part in module.modules() if isinstance(part, TensorQuantizer)][-1].active_log_step.exp().item()


def output_step(module):
    block = module[1]
    return block.sum.active_log_step.exp().item() if hasattr(block, "sum") else last_step(block)


@pytest.mark.parametrize(("kind", "bits"), CASES)
def test_what_was_trained_is_what_onnx_runtime_computes(kind, bits, quantized_operator, trained, run_onnx):
    op = quantized_operator(kind, bits)
    module, images = trained(op)
    model = export_onnx(module, images.shape)
    with torch.no_grad():
        expected = module(torch.from_numpy(images)).numpy()
    plain = run_onnx(model, images, optimised=False)
    assert np.abs(plain - expected).max() <= 1e-6 * np.abs(expected).max()
    codes = (run_onnx(model, images, optimised=True) - expected) / output_step(module)
    assert np.abs(codes).max() < 1.01
    assert (np.abs(codes) > 0.5).mean() < 0.005
    assert integer_kernels(model) == promised_kernels([op])


@pytest.mark.parametrize("bits", [8, 4])
def test_where_integer_kernels_differ_it_is_the_bias_that_they_round(bits, quantized_operator, trained, run_onnx):
    """In exact arithmetic on codes, with the bias a whole multiple of what one product is worth, no code is another."""
    for seed in range(4):
        module, images = trained(quantized_operator("widen", bits), seed)
        entry, conv = module[0], module[1].conv.conv
        steps = conv.weight_quantizer.active_log_step.detach().exp()
        weights = quantize(conv.weight.detach(), steps[:, None, None, None], *conv.weight_quantizer.limits)
        inputs = quantize(torch.from_numpy(images), entry.active_log_step.detach().exp(), *entry.limits)
        total = torch.einsum("oi,bihw->bohw", weights[:, :, 0, 0].double(), inputs.double())
        unit = (entry.active_log_step.exp() * steps).detach().double()[:, None, None]
        finer = {8: 1, 4: FINER}[bits]
        bias = conv.bias.detach().double()[:, None, None] / unit
        kernels = run_onnx(export_onnx(module, images.shape), images, optimised=True) / output_step(module)
        differ = []
        for known in (torch.round(bias * finer) / finer, bias):
            exact = ((total + known) * unit / output_step(module)).round().clamp(0, 255).numpy()
            differ.append((np.abs(kernels - exact) > 0.5).mean())
        assert differ[0] == 0 < differ[1] < 0.005


@pytest.mark.parametrize(("kind", "bits"), CASES)
def test_with_rounded_biases_integer_kernels_compute_what_was_trained(
    kind, bits, quantized_operator, trained, run_onnx
):
    """But for ties."""
    differ = []
    for seed in range(3):
        module, images = trained(quantized_operator(kind, bits), seed)
        round_biases(module, images.shape)
        with torch.no_grad():
            expected = module(torch.from_numpy(images)).numpy()
        model = export_onnx(module, images.shape)
        assert np.abs(run_onnx(model, images, optimised=False) - expected).max() <= 1e-6 * np.abs(expected).max()
        differ.append(np.abs(run_onnx(model, images, optimised=True) - expected) > 0.5 * output_step(module))
    assert np.mean(differ) < 5e-4


@pytest.mark.parametrize("bits", [8, 4])
def test_the_stored_codes_are_the_trained_ones(bits, quantized_operator, trained):
    module, images = trained(quantized_operator("attention", bits))
    model = export_onnx(module, images.shape)
    quantizers = {name: part for name, part in module.named_modules() if isinstance(part, WeightQuantizer)}
    found = 0
    for name, part in quantizers.items():
        if not part.widths:
            continue
        owner = name.removesuffix(".weight_quantizer")
        weight = module.get_submodule(owner).weight.detach()
        codes = quantize(weight, part.active_log_step.detach().exp()[:, None], *part.limits).numpy()
        same = [e for e in stored_codes(model) if np.array_equal(numpy_helper.to_array(e).astype(int), codes.T)]
        assert len(same) == 1  # transposed, as MatMul wants it
        assert same[0].data_type == (TensorProto.INT8 if bits == 8 else TensorProto.INT4)
        found += 1
    assert found == 6
    initialisers = onnx.load_from_string(model).graph.initializer
    floats = [each for each in initialisers if each.data_type == TensorProto.FLOAT]
    assert max(int(np.prod(each.dims)) for each in floats) < 32 * 32  # no float weight is left behind


def test_codes_are_stored_raw(quantized_operator, trained):
    module, images = trained(quantized_operator("basic", 8))
    model = onnx.load_from_string(export_onnx(module, images.shape))
    assert all(each.HasField("raw_data") for each in model.graph.initializer)


def test_four_bit_weights_take_half_a_byte_on_disk_and_run_on_int8_kernels(quantized_operator, trained):
    sizes = {}
    for bits in (8, 4):
        module, images = trained(quantized_operator("basic", bits))
        sizes[bits] = sum(len(each.raw_data) for each in stored_codes(export_onnx(module, images.shape)))
    assert sizes[4] * 2 == sizes[8] == 2 * 32 * 32 * 9


def test_activations_for_x86_are_unsigned_and_for_tensorrt_signed(quantized_operator, trained, run_onnx):
    module, images = trained(quantized_operator("gated-conv", 8))
    files = {kind: export_onnx(module, images.shape, activations=kind) for kind in ("u8", "s8")}
    for kind, types in (("u8", {TensorProto.UINT8}), ("s8", {TensorProto.INT8})):
        graph = onnx.load_from_string(files[kind]).graph
        zeros = {each.input[2] for each in graph.node if each.op_type == "QuantizeLinear"}
        assert {each.data_type for each in graph.initializer if each.name in zeros} == types
    same = [run_onnx(model, images, optimised=False) for model in files.values()]
    np.testing.assert_array_equal(*same)  # no ReLU in this block: one grid


def test_signed_activations_behind_a_relu_have_twice_the_step(quantized_operator, trained, run_onnx):
    module, images = trained(quantized_operator("stem", 8))
    with torch.no_grad():
        expected = module(torch.from_numpy(images)).numpy()
    found = run_onnx(export_onnx(module, images.shape, activations="s8"), images, optimised=False)
    step = output_step(module)
    assert np.abs(found - expected).max() <= 1.01 * step
    np.testing.assert_allclose(found / (2 * step), np.round(found / (2 * step)), atol=1e-3)


def test_an_unknown_kind_of_activation_is_refused_with_the_close_one():
    with pytest.raises(NasError, match="u16") as caught:
        write_qdq(b"", activations="u16")
    assert "u8" in caught.value.hint


def test_a_float_network_is_written_as_it_was(operator_of):
    from nas.nn.subnet import build_operator, fold_norms

    model = export_onnx(fold_norms(build_operator(operator_of("conv", 8, 6))), (1, 8, 6, 6))
    assert write_qdq(model) == model
    assert {each.domain for each in onnx.load_from_string(model).opset_import} <= {"", "nas"}


@pytest.mark.parametrize("entries", [{}, {"session__x64quantprecision": "1"}], ids=["default", "precise"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("reduce_range", [False, True])
def test_the_worst_codes_give_exactly_what_integers_give(sign, reduce_range, entries, run_onnx):
    """All activations 255, all weights +-127: where pairs of products are added in 16 bits they saturate."""
    from nas.nn.layers import Conv2d

    if not reduce_range and not entries and needs_precise_kernels(platform.machine(), CPUINFO.read_text()):
        pytest.skip("this processor needs reduce_range or the precise kernels: that is what the other cases test")
    module = torch.nn.Sequential(
        TensorQuantizer(8, signed=False), Conv2d(64, 8, 3, padding=1, bias=False, bits=8)
    ).eval()
    conv = module[1]
    conv.weight.data.fill_(sign * 127.0)
    total = 64 * 9 * 255 * 127
    conv.output.active_log_step.data.fill_(np.log(total / 120))
    model = export_onnx(module, (1, 64, 5, 5), reduce_range=reduce_range)
    images = np.full((1, 64, 5, 5), 255.0, np.float32)
    found = run_onnx(model, images, optimised=True, **entries) / (total / 120)
    taps = np.array([2, 3, 3, 3, 2])
    exact = np.rint(sign * np.outer(taps, taps) * 64 * 255 * 127 / (total / 120))
    assert np.abs(found[0, 0] - exact).max() < 1e-3


def sums_of_pairs(codes, weights):
    """Add products of u8 and s8 codes [..., even n] as AVX2 without VNNI does: vpmaddubsw, then vpmaddwd by ones.

    The sum of each pair saturates at 16 bits (Intel's manual, PMADDUBSW); the rest is added in 32.
    """
    products = codes.astype(np.int64) * weights
    pairs = products[..., 0::2] + products[..., 1::2]
    return pairs.clip(-(2**15), 2**15 - 1).sum(-1)


def exported_weights(model):
    """The int8 codes [out, n] that kernels multiply: what is stored, widened where it has 4 bits."""
    graph = onnx.load_from_string(model).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:  # of the widening alone: Cast, Mul, Cast
        if node.op_type in ("Cast", "Mul") and stored.keys() >= set(node.input):
            one, *others = (stored[name].astype(np.int32) for name in node.input)
            stored[node.output[0]] = one * others[0] if others else one
    read = [node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"]
    return [stored[name].reshape(len(stored[name]), -1) for name in read if name in stored and stored[name].ndim == 4]


def even(weights):
    return np.pad(weights, ((0, 0), (0, weights.shape[1] % 2))).astype(np.int64)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", ["stem", "downsample", "basic", "conv", "pool"])
def test_with_a_reduced_range_no_codes_saturate_in_pairs_of_16_bits(kind, bits, quantized_operator, trained):
    """The activations that fit a weight's signs worst, against exact integers."""
    module, images = trained(quantized_operator(kind, bits))
    saturated = {}
    for reduce in (False, True):
        found = [even(each) for each in exported_weights(export_onnx(module, images.shape, reduce_range=reduce))]
        assert found
        worst = [(np.where(each * sign > 0, 255, 0), each) for each in found for sign in (1, -1)]
        saturated[reduce] = [not np.array_equal(sums_of_pairs(*each), np.sum(each[0] * each[1], -1)) for each in worst]
    assert any(saturated[False])  # so the halving is needed
    assert not any(saturated[True])


def test_safe_codes_do_not_saturate_and_two_more_would():
    codes = np.full(2, 255)
    for weight in (SAFE_8_BIT, -SAFE_8_BIT):
        assert sums_of_pairs(codes, np.full(2, weight)) == 2 * 255 * weight
    assert sums_of_pairs(codes, np.full(2, SAFE_8_BIT + 2)) != 2 * 255 * (SAFE_8_BIT + 2)


@pytest.mark.parametrize(
    ("machine", "flags", "needs"),
    [
        ("x86_64", ["avx2"], True),
        ("x86_64", ["avx2", "avx512f"], True),
        ("x86_64", ["avx2", "avx_vnni"], False),
        ("x86_64", ["avx2", "avx512f", "avx512_vnni"], False),
        ("aarch64", ["asimd"], False),
    ],
)
def test_only_x86_without_vnni_needs_the_precise_kernels(machine, flags, needs):
    assert (
        needs_precise_kernels(machine, f"model name : a CPU\nflags : {' '.join(flags)}\n\nmodel name : other") == needs
    )


def test_the_finer_codes_of_four_bits_fit_into_int8():
    assert 7 * FINER <= 127


def test_with_a_reduced_range_the_finer_codes_of_four_bits_do_not_saturate_either(
    quantized_operator, trained, run_onnx
):
    module, images = trained(quantized_operator("conv", 4))
    whole, reduced = (export_onnx(module, images.shape, reduce_range=reduce) for reduce in (False, True))
    scalars = [numpy_helper.to_array(each) for each in onnx.load_from_string(reduced).graph.initializer]
    factors = {int(each) for each in scalars if each.dtype == np.int32 and each.ndim == 0}
    assert len(factors) == 1
    assert 7 * factors.pop() <= SAFE_8_BIT
    np.testing.assert_array_equal(*(run_onnx(model, images, optimised=False) for model in (whole, reduced)))
