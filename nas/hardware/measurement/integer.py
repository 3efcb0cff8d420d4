"""Rows of integer operators: measured where the runtime's own graph proves integer arithmetic, absent elsewhere.

An integer block is measured between two 8-bit 1x1 convolutions, less those, so that integer values go in and come out
as in a network. What stands between floats and integer values has rows of its own: a float and an integer convolution
in a row, in either order, less half of two float and half of two integer ones; over a way in and a way out the halves
are exact. Weights of 4 bits run on the int8 kernels (`nas.export.qdq`), so they have the milliseconds of 8 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from nas.errors import NasError
from nas.export.kernels import integer_kernels, promised_kernels
from nas.export.onnx import export_onnx
from nas.files import JsonObject
from nas.hardware.backends.session import Shape, fixed_input
from nas.hardware.measurement.rows import Difference
from nas.hardware.table.table_file import Row
from nas.nn.subnet import build_operator, fold_norms, initialised, quantized_widths
from nas.space.availability import available
from nas.space.kinds import KINDS, kind_of
from nas.space.operator import ACTIVATION_BITS, TRANSITIONS, Operator
from nas.space.search_space import SearchSpace, widths_of

DTYPE = "int8"  # of a table whose rows are float and integer
MEASURED, EMULATED, UNSUPPORTED = "measured", "emulated", "unsupported"
Build = Callable[[Operator], nn.Module]
Target = tuple[Callable[[], nn.Module], Shape]


def is_integer(op: Operator) -> bool:
    """Whether an operator computes on integer values, or makes or takes them."""
    return op.bits != "fp" or op.kind in TRANSITIONS


def measurable(space: SearchSpace, dtype: str) -> tuple[SearchSpace, dict[str, str]]:
    """Return the part of a space that a table of this dtype can hold rows of, and the status of each integer operator.

    `NasError` for `int8` where the space has no integer bit-widths.
    """
    if dtype != DTYPE:
        return available(space, lambda op: not is_integer(op)), {}
    if not widths_of(space):
        raise NasError(f"the space {space.name} has no integer bit-widths", "Measure it with --dtype fp32")
    status = {op.key: status_of(op) for op in space.operators() if is_integer(op)}
    return available(space, lambda op: status.get(op.key, MEASURED) == MEASURED), status


def status_of(op: Operator) -> str:
    """Whether ONNX Runtime computes an operator on integer values (`measured`), in float, or not at all."""
    if op.kind in TRANSITIONS:
        return MEASURED
    if kind_of(op.kind).integer_kernels is None:
        return UNSUPPORTED
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    module, shape = deployed(chain(op), (1, op.in_channels, op.grid, op.grid))
    try:
        kernels = integer_kernels(export_onnx(module, shape))
    # torch cannot export it, or the runtime cannot load it: its errors are no RuntimeErrors
    except (RuntimeError, runtime.NotImplemented, runtime.InvalidGraph, runtime.Fail):
        return UNSUPPORTED
    return MEASURED if kernels == promised_kernels([op]) else EMULATED


def deployed(module: nn.Module, shape: Shape) -> tuple[nn.Module, Shape]:
    """Fold norms and let quantisers choose their steps on noise, in place."""
    fold_norms(module)
    if quantized_widths(module):
        with torch.no_grad(), initialised(module):
            module(torch.from_numpy(fixed_input(shape)))
    return module, shape


def entry(op: Operator) -> Operator:
    """Return what makes integer values of an operator's float input."""
    return Operator("quantize", op.in_channels, op.in_channels, op.grid, (), ACTIVATION_BITS)


def chain(op: Operator, build: Build = build_operator) -> nn.Module:
    """Put an integer operator behind what makes its integer values."""
    return nn.Sequential(build_operator(entry(op)), build(op))


def conv(op: Operator, bits: str | int) -> nn.Module:
    """Return a 1x1 convolution that keeps an operator's width."""
    return build_operator(Operator("widen", op.in_channels, op.in_channels, op.grid, (), bits))


def coded_frame(op: Operator, build: Build | None = None) -> nn.Module:
    """Put a block between two integer convolutions; without `build` there is nothing between them."""
    inside = [] if build is None else [build(op)]
    return nn.Sequential(build_operator(entry(op)), conv(op, ACTIVATION_BITS), *inside, conv(op, ACTIVATION_BITS))


def float_frame(op: Operator) -> nn.Module:
    """Put two float convolutions in a row."""
    return nn.Sequential(conv(op, "fp"), conv(op, "fp"))


def into_codes(op: Operator) -> nn.Module:
    """Put an integer convolution behind a float one."""
    return nn.Sequential(conv(op, "fp"), build_operator(entry(op)), conv(op, ACTIVATION_BITS))


def out_of_codes(op: Operator) -> nn.Module:
    """Put a float convolution behind an integer one."""
    return nn.Sequential(build_operator(entry(op)), conv(op, ACTIVATION_BITS), conv(op, "fp"))


def difference(op: Operator, null: str) -> Difference:
    """Return how the row of an integer operator comes about."""
    place = f"{op.in_channels} {op.grid}"
    if op.kind in TRANSITIONS and op.in_channels > 3:
        halves = ((0.5, f"float frame {place}"), (0.5, f"coded frame {place}"))
        return Difference(f"{op.kind} {place}", halves)
    if op.kind in TRANSITIONS:
        return Difference(f"trip {place}", ((1.0, null),))
    seen = replace(op, bits=ACTIVATION_BITS).key
    return Difference(seen, ((1.0, f"coded frame {place}" if op.kind in KINDS else f"trip {place}"),))


def integer_targets(chosen: Iterable[Operator], batch: int, build: Build) -> dict[str, Target]:
    """List by name what must be measured for the rows of integer operators."""
    targets: dict[str, Target] = {}
    for op in chosen:
        shape: Shape = (batch, op.in_channels, op.grid, op.grid)
        place, eight = f"{op.in_channels} {op.grid}", replace(op, bits=ACTIVATION_BITS)
        makers: dict[str, Callable[[], nn.Module]] = {
            f"trip {place}": partial(build_operator, entry(op)),
            f"coded frame {place}": partial(coded_frame, op),
            f"float frame {place}": partial(float_frame, op),
            f"quantize {place}": partial(into_codes, op),
            f"dequantize {place}": partial(out_of_codes, op),
            eight.key: partial(coded_frame, eight, build) if op.kind in KINDS else partial(chain, eight, build),
        }
        needed = difference(op, "")
        for name in (needed.seen, *(name for _, name in needed.less if name)):
            targets[name] = (makers[name], shape)
    return targets


def integer_evidence(every: Sequence[Operator], rows: Mapping[str, Row], status: Mapping[str, str]) -> JsonObject:
    """Return for a table's header what was verified, and the median gain of 8 bits over the rows of each kind."""
    pairs: dict[str, list[float]] = {}
    for op in every:
        twin = replace(op, bits="fp").key
        if op.bits == ACTIVATION_BITS and op.kind not in TRANSITIONS and {op.key, twin} <= rows.keys():
            pairs.setdefault(op.kind, []).append(rows[twin].ms / rows[op.key].ms)
    gains = {kind: float(f"{sorted(ratios)[len(ratios) // 2]:.3g}") for kind, ratios in pairs.items()}
    return {
        "status": dict(Counter(status.values())),
        "not_measured": sorted(key for key, state in status.items() if state != MEASURED),
        "speedup_of_8_bits": gains,
        "four_bits": "the kernels of 8 bits, on codes widened when the file is loaded",
    }
