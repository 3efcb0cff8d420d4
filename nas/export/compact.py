"""Small files: nothing is stored twice, computed from shapes at every start, or named at length.

A traced network is full of nodes that compute shapes, and stores every table and zero point where it is used. None of
this changes what the network computes, or how fast; but in a file of 8-bit values it outweighs them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nas.export.masks import write_masks

MARKER, DOMAIN = "Quantize", "nas"  # stands for a quantiser until `nas.export.qdq` writes it
SMALL_BYTES = 64  # a result of this size is stored: a node that computes it takes as much


def is_marker(node: Any) -> bool:
    """Whether a node of a graph stands for a quantiser."""
    return node.op_type == MARKER and node.domain == DOMAIN


def folded(model: bytes) -> bytes:
    """Return an exported model, with its markers, and with its constants folded."""
    import onnx

    proto = onnx.load_from_string(model)
    fold_constants(proto)
    return proto.SerializeToString()


def compacted(model: bytes) -> bytes:
    """Return a model without markers with short names and indices, and equal tensors stored once."""
    import onnx

    proto = onnx.load_from_string(model)
    shorten_indices(proto.graph)
    store_once(proto.graph)
    write_masks(proto.graph)
    store_once(proto.graph)
    shorten_names(proto.graph)
    proto.producer_name = proto.producer_version = proto.doc_string = ""
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def fold_constants(model: Any) -> None:
    """Store, in place, what a graph of fixed shapes computes without its input, where that is small or shrinks.

    Tables that a few nodes make from less stay nodes: runtimes fold them when they load the file. The values are those
    that ONNX Runtime computes without optimisations.
    """
    from onnx import numpy_helper

    graph = model.graph
    values = constant_values(model)
    sizes = {tensor.name: numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        stored = node.op_type == "Shape" or all(name in sizes for name in node.input if name)
        if stored and all(name in values for name in node.output):
            size = sum(values[name].nbytes for name in node.output)
            greatest = max((sizes.get(name, 0) for name in node.input), default=0)
            if node.op_type == "Constant" or size <= SMALL_BYTES or size < greatest:
                sizes |= {name: values[name].nbytes for name in node.output}
                graph.initializer.extend(numpy_helper.from_array(values[name], name) for name in node.output)
                continue
        kept.append(node)
    replace_nodes(graph, kept)
    drop_unread(graph)


def constant_values(model: Any) -> dict[str, np.ndarray]:
    """Compute every tensor of a graph of fixed shapes that does not depend on its input, by name."""
    import onnx
    import onnxruntime as ort
    from onnx import helper

    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    constant = {tensor.name for tensor in plain.graph.initializer}
    names: list[str] = []
    for node in plain.graph.node:
        if is_marker(node):  # no runtime knows it; shapes go through it
            node.CopyFrom(helper.make_node("Identity", node.input, node.output))
        elif node.op_type == "Shape" or constant.issuperset(filter(None, node.input)):
            names += node.output
            constant.update(node.output)
    if not names:
        return {}
    plain.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(plain.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = {entry.name: np.zeros(entry.shape, np.float32) for entry in session.get_inputs()}
    return dict(zip(names, session.run(names, inputs), strict=True))


def shorten_indices(graph: Any) -> None:
    """Store in 32 bits, in place, the indices that only gather."""
    from onnx import TensorProto, numpy_helper

    readers: dict[str, set[bool]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, set()).add(node.op_type == "Gather" and place == 1)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.INT64 and readers.get(tensor.name) == {True}:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.int32), tensor.name))


def store_once(graph: Any) -> None:
    """Store equal initialisers once, in place."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in graph.initializer:
        content = type(tensor)()
        content.CopyFrom(tensor)
        content.ClearField("name")
        same[tensor.name] = first.setdefault(content.SerializeToString(), tensor.name)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    drop_unread(graph)


def drop_unread(graph: Any) -> None:
    """Remove, in place, the initialisers that no node reads."""
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def replace_nodes(graph: Any, nodes: Iterable[Any]) -> None:
    """Replace the nodes of a graph, in place."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def shorten_names(graph: Any) -> None:
    """Shorten, in place, the names of tensors between the ends of a graph, and remove those of nodes."""
    ends = {end.name for end in (*graph.input, *graph.output)}
    given = [name for node in graph.node for name in (*node.input, *node.output) if name and name not in ends]
    short = {name: f"{index:x}" for index, name in enumerate(dict.fromkeys(given))}
    for node in graph.node:
        node.name = node.doc_string = ""
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    del graph.value_info[:]
