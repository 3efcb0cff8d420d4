"""Writes quantised networks as ONNX: markers in an exported graph become integer weights and Q/DQ pairs.

The markers stand where training quantised (nas.nn.quantizer), so what was trained is what a runtime fuses.
Weights are stored as integer values with a scale per output channel. Values of 4 bits are packed two to a byte. A Cast,
which runtimes fold when they load the file, widens them to int8: 4 bits on disk, int8 kernels. They are multiplied by
16 as well, because biases become whole multiples of the weight's scale, and a scale of 4 bits is too coarse for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nas.errors import NasError, did_you_mean
from nas.export.compact import drop_unread, is_marker, replace_nodes
from nas.space.operator import FINER

ACTIVATIONS = ("u8", "s8")  # unsigned for x86; signed with zero point 0 for TensorRT
INT4_OPSET = 21
LARGEST_4_BIT = 7
# Nodes that move numbers without changing them; behind blind ones ONNX Runtime needs Q and DQ again.
MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Flatten", "Identity")
BLIND_MOVES = ("Gather", "Flatten")
SAFE_8_BIT = 63  # of weights, where pairs of products are added in 16 bits: 2 x 63 x 255 < 2^15


def write_qdq(model: bytes, activations: str = "u8", reduce_range: bool = False) -> bytes:
    """Replace every marker of an exported model; one without markers is returned as it is.

    `s8` writes signed activations for runtimes that have no others. Behind a ReLU, where training used 256 unsigned
    values, it has half as many at twice the step. `reduce_range` halves the integer values of 8-bit weights, for x86
    processors without VNNI, whose kernels saturate otherwise; values of 4-bit weights are widened half as far.
    """
    import onnx

    if activations not in ACTIVATIONS:
        raise NasError(f"activations cannot be stored as '{activations}'", did_you_mean(activations, ACTIVATIONS))
    proto = onnx.load_from_string(model)
    graph = proto.graph
    if not any(is_marker(node) for node in graph.node):
        return model
    writer = Writer(graph, activations, reduce_range)
    replace_nodes(graph, [replaced for node in graph.node for replaced in writer.replace(node)])
    writer.drop_unused()
    del proto.opset_import[1:]
    if any(tensor.data_type == onnx.TensorProto.INT4 for tensor in graph.initializer):
        proto.opset_import[0].version = INT4_OPSET
    return proto.SerializeToString()


class Writer:
    """Replaces the nodes of one graph, adding initialisers to it."""

    def __init__(self, graph: Any, activations: str, reduce_range: bool) -> None:
        from onnx import numpy_helper

        self.graph, self.signed, self.reduce_range = graph, activations == "s8", reduce_range
        self.finer = FINER // 2 if reduce_range else FINER
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.transposed = {  # output of a weight's marker -> output of the Transpose behind it
            node.input[0]: node.output[0]
            for node in graph.node
            if node.op_type == "Transpose" and list(node.attribute[0].ints) == [1, 0]
        }
        self.relus = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Relu"}
        self.dropped: set[str] = set()
        self.grids: dict[str, list[str]] = {}  # tensor -> names of the scale and zero point whose multiples it holds

    def replace(self, node: Any) -> Iterator[Any]:
        """Yield the nodes that replace a node."""
        if not is_marker(node):
            if not self.dropped & set(node.output):
                yield from self.moved(node)
            return
        settings = {attribute.name: attribute for attribute in node.attribute}
        steps, low, high = np.array(settings["steps"].floats, np.float32), settings["low"].i, settings["high"].i
        if node.input[0] in self.weights:
            yield from self.stored(node, steps, low, high)
        else:
            yield from self.computed(node, steps[0], low < 0)

    def moved(self, node: Any) -> Iterator[Any]:
        """Yield a node, with Q and DQ behind it where it moves integer values and ONNX Runtime would not see them."""
        grid = self.grids.get(node.input[0]) if node.op_type in MOVES and node.input else None
        if grid is None:
            yield node
            return
        name = node.output[0]
        self.grids[name] = grid
        if node.op_type in BLIND_MOVES:
            node.output[0] = f"{name}_moved"
            yield node
            yield make_node("QuantizeLinear", [f"{name}_moved", *grid], [f"{name}_codes"])
            yield make_node("DequantizeLinear", [f"{name}_codes", *grid], [name])
        else:
            yield node

    def computed(self, node: Any, step: np.float32, signed: bool) -> Iterator[Any]:
        """Yield Q and DQ of an activation."""
        source, name = node.input[0], node.output[0]
        if self.signed:
            zero: np.ndarray = np.array(0, np.int8)
            step = step if signed else np.float32(2 * step)
        else:
            zero = np.array(128 if signed else 0, np.uint8)
            source = source if signed else self.relus.get(source, source)  # the least value is the ReLU
        grid = [self.add(f"{name}_scale", np.array(step)), self.add(f"{name}_zero", zero)]
        self.grids[name] = grid
        yield make_node("QuantizeLinear", [source, *grid], [f"{name}_codes"])
        yield make_node("DequantizeLinear", [f"{name}_codes", *grid], [name])

    def stored(self, node: Any, steps: np.ndarray, low: int, high: int) -> Iterator[Any]:
        """Yield the DQ of a weight's integer values, along the axis of the channels behind a Transpose that follows."""
        source, name, axis = node.input[0], node.output[0], 0
        weight = self.weights[source]
        if self.reduce_range and high > SAFE_8_BIT:
            steps, low, high = steps * np.float32(high / SAFE_8_BIT), -SAFE_8_BIT, SAFE_8_BIT
        shaped = steps.reshape(-1, *[1] * (weight.ndim - 1))
        integers = np.rint(weight / shaped).clip(low, high).astype(np.int8)
        if name in self.transposed:
            name, axis, integers = self.transposed[name], 1, np.ascontiguousarray(integers.T)
            self.dropped.add(name)
        stored = f"{source}_codes"
        if high <= LARGEST_4_BIT:
            steps = steps / np.float32(self.finer)
            yield from self.widened(stored, integers)
            stored = f"{stored}_int8"
        else:
            self.add(stored, integers)
        # ONNX Runtime fuses Gemm only where a zero point is written down
        grid = [self.add(f"{source}_scale", steps), self.add(f"{source}_zero", np.zeros(steps.shape, np.int8))]
        yield make_node("DequantizeLinear", [stored, *grid], [name], axis=axis)

    def widened(self, name: str, integers: np.ndarray) -> Iterator[Any]:
        """Store values of 4 bits as `name`; yield the nodes that multiply them by `finer` in int8, as `name`_int8."""
        from onnx import TensorProto

        self.add_int4(name, integers)
        factor = self.add(f"{name}_finer", np.array(self.finer, np.int32))
        yield make_node("Cast", [name], [f"{name}_int32"], to=TensorProto.INT32)
        yield make_node("Mul", [f"{name}_int32", factor], [f"{name}_finer_int32"])
        yield make_node("Cast", [f"{name}_finer_int32"], [f"{name}_int8"], to=TensorProto.INT8)

    def add(self, name: str, value: np.ndarray) -> str:
        """Add an initialiser, stored raw; return its name."""
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def add_int4(self, name: str, integers: np.ndarray) -> None:
        """Add values of 4 bits, two to a byte, the earlier one in the lower half."""
        from onnx import TensorProto, helper

        flat = (integers.reshape(-1) & 15).astype(np.uint8)
        flat = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
        packed = (flat[0::2] | flat[1::2] << 4).tobytes()
        self.graph.initializer.append(helper.make_tensor(name, TensorProto.INT4, integers.shape, packed, raw=True))

    def drop_unused(self) -> None:
        """Remove the ReLUs and initialisers that no node reads: the float weights too."""
        read = {name for node in self.graph.node for name in node.input} | {output.name for output in self.graph.output}
        kept = [node for node in self.graph.node if node.op_type != "Relu" or node.output[0] in read]
        replace_nodes(self.graph, kept)
        drop_unread(self.graph)


def make_node(kind: str, inputs: list[str], outputs: list[str], **settings: Any) -> Any:
    """Make a node of ONNX's own operators."""
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **settings)
