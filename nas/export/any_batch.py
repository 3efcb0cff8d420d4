"""One file for any number of images, from two files for fixed numbers: what differs between them is the batch.

A network traced for any batch computes its shapes again in every call, which costs small networks up to a third of
their time (measured). Traced for a fixed batch, all shapes are stored numbers. Between two batches only multiples of
the batch differ, and most of them are where a Reshape takes -1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nas.export.compact import drop_unread, replace_nodes
from nas.export.qdq import make_node

BATCHES = (17, 19)  # primes that are no sizes of anything else
BATCH = "batch"


def join_batches(first: bytes, second: bytes) -> bytes:
    """Return a model for any number of images: `first` is for BATCHES[0] of them and `second` for BATCHES[1]."""
    import onnx
    from onnx import numpy_helper

    one, other = (with_sizes(onnx.load_from_string(model)) for model in (first, second))
    values, others = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer} for model in (one, other)
    )
    pairs = {(here, there) for here, there in paired_inputs(one.graph, other.graph) if here in values}
    differing = {here: (values[here], others[there]) for here, there in pairs if differ(values[here], others[there])}
    writer = BatchWriter(one.graph, differing)
    replace_nodes(one.graph, [writer.replace(node) for node in one.graph.node])
    replace_nodes(one.graph, [*writer.made, *one.graph.node])
    drop_unread(one.graph)
    for end in (*one.graph.input, *one.graph.output):
        end.type.tensor_type.shape.dim[0].dim_param = BATCH
    del one.graph.value_info[:]
    return one.SerializeToString()


def with_sizes(model: Any) -> Any:
    """Write the shape of every Reshape with numbers alone, so that its -1 is free for the batch."""
    from onnx import numpy_helper, shape_inference

    model = shape_inference.infer_shapes(model)
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.value_info
    }
    for node in model.graph.node:
        if node.op_type == "Reshape" and all(size := sizes.get(node.output[0], [0])):
            node.input[1] = f"{node.output[0]}_size"
            model.graph.initializer.append(numpy_helper.from_array(np.array(size), node.input[1]))
    return model


def paired_inputs(one: Any, other: Any) -> Iterator[tuple[str, str]]:
    """Yield the names of the inputs in the same places of two graphs that differ in names only."""
    for here, there in zip(one.node, other.node, strict=True):
        settings = [[attribute.SerializeToString() for attribute in node.attribute] for node in (here, there)]
        assert here.op_type == there.op_type and settings[0] == settings[1], (here, there)
        yield from zip(here.input, there.input, strict=True)


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two stored tensors differ."""
    return one.shape != other.shape or not np.array_equal(one, other)


class BatchWriter:
    """Rewrites stored tensors that contain the batch for any batch: shapes with -1 where that is possible."""

    def __init__(self, graph: Any, differing: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self.graph, self.differing = graph, differing
        self.made: list[Any] = []  # nodes that compute shapes; in front of all others
        self.written: dict[tuple[str, bool], str] = {}

    def replace(self, node: Any) -> Any:
        """Return the node with rewritten inputs."""
        for place, name in enumerate(node.input):
            if name in self.differing:
                key = name, node.op_type == "Reshape"
                if key not in self.written:
                    self.written[key] = self.write(*key)
                node.input[place] = self.written[key]
        return node

    def write(self, name: str, reshapes: bool) -> str:
        """Write one tensor for any batch; return the name of what was written."""
        value, other = self.differing[name]
        if value.dtype != np.int64:
            return self.expanded(name, value, other)
        factors = np.where(value == other, 0, value // BATCHES[0])
        fixed = np.where(factors == 0, value, 0)
        assert np.array_equal(fixed + factors * BATCHES[0], value), name
        assert np.array_equal(fixed + factors * BATCHES[1], other), name
        if reshapes and np.count_nonzero(factors) == 1 and -1 not in value:
            return self.add(f"{name}_any", np.where(factors == 0, value, -1))
        return self.computed(name, fixed, factors)

    def expanded(self, name: str, value: np.ndarray, other: np.ndarray) -> str:
        """Repeat the values that a tensor has for one image; return the name of the result."""
        assert differ(value[0], other[0]) is False and (value == value[:1]).all(), name
        factors = np.array([1] + [0] * (value.ndim - 1))
        shape = self.computed(name, np.array([0] + [1] * (value.ndim - 1)), factors)
        self.made.append(make_node("Expand", [self.add(f"{name}_one", value[:1]), shape], [f"{name}_any"]))
        return f"{name}_any"

    def computed(self, name: str, fixed: np.ndarray, factors: np.ndarray) -> str:
        """Compute a shape as `fixed + factors * batch` when the model runs; return its name."""
        if not self.made:
            self.made.append(make_node("Shape", [self.graph.input[0].name], [BATCH], start=0, end=1))
        size = BATCH
        if factors.ndim == 0:
            size = f"{name}_batch"
            self.made.append(make_node("Squeeze", [BATCH], [size]))
        times, plus = self.add(f"{name}_factors", factors), self.add(f"{name}_fixed", fixed)
        self.made.append(make_node("Mul", [size, times], [f"{name}_times"]))
        self.made.append(make_node("Add", [f"{name}_times", plus], [f"{name}_shape"]))
        return f"{name}_shape"

    def add(self, name: str, value: np.ndarray) -> str:
        """Add an initialiser; return its name."""
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name
