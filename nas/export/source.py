"""Writes a network as one Python file that needs torch and numpy only: an exported graph, operation by operation."""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram
    from torch.fx import Node

TEMPLATE = Path(__file__).with_name("standalone.py")
PLACEHOLDER = "        raise NotImplementedError  # nas export writes it\n"
LAYER = re.compile(r"layers\.(\d+)$")
SIGNS = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.floordiv: "//"}


@dataclass(frozen=True, slots=True)
class Layer:
    """The operations of one layer of a network, which become one method."""

    index: int
    nodes: list[Node] = field(default_factory=list)


def write_source(program: ExportedProgram, identity: str, titles: Sequence[str]) -> str:
    """Write the file of a chain of layers, of which `titles[i]` describes layer i.

    Its tensors are named as `tensors_of` names them. The logits equal those of the exported network to the last bit.
    """
    names = tensor_names(program)
    layers = split_layers(program)
    lines = ["tensors = dict(self.named_parameters()) | dict(self.named_buffers())"]
    methods = []
    for layer in layers:
        taken, given = ends_of(layer, names)
        lines.append(f"x = self.layer_{layer.index}(tensors, {'images' if layer is layers[0] else 'x'})")
        methods.append(write_method(layer, titles[layer.index], taken, given, names))
    lines.append("return x")
    forward = "".join(f"        {line}\n" for line in lines)
    text = TEMPLATE.read_text().replace(PLACEHOLDER, forward + "".join(methods))
    return text.replace("@ID@", identity).replace("@NAME@", model_name(identity))


def model_name(identity: str) -> str:
    """Return the name of a network in timm."""
    return f"subnet_{identity}"


def tensors_of(program: ExportedProgram) -> dict[str, Tensor]:
    """Return the tensors of an exported network by name: its weights, and its constants as `constants.N`."""
    known = {**program.state_dict, **program.constants}
    tensors = {}
    for spec in program.graph_signature.input_specs:
        if spec.target is not None:
            tensors[tensor_names(program)[spec.arg.name]] = known[spec.target].detach()
    return tensors


def tensor_names(program: ExportedProgram) -> dict[str, str]:
    """Map the names of a graph's inputs that are tensors of the network to the names of these tensors."""
    lifted = list(program.constants)
    return {
        spec.arg.name: spec.target if spec.target in program.state_dict else f"constants.{lifted.index(spec.target)}"
        for spec in program.graph_signature.input_specs
        if spec.target is not None
    }


def split_layers(program: ExportedProgram) -> list[Layer]:
    """Return the operations by layer, without conversions to the same dtype and the checks that an export adds.

    Such a conversion returns the tensor itself. If layers share a tensor, its one conversion would belong to one layer.
    """
    graph = copy.deepcopy(program.graph_module).graph
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.to.dtype):
        if node.args[0].meta["val"].dtype == node.args[1]:
            node.replace_all_uses_with(node.args[0])
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    layers: list[Layer] = []
    for node in graph.nodes:
        if node.op == "call_function":
            index = layer_of(node)
            if not layers or index not in (None, layers[-1].index):
                layers.append(Layer(index or 0))
            layers[-1].nodes.append(node)
    return layers


def layer_of(node: Node) -> int | None:
    """Return the layer of the network that an operation belongs to, or None where the export does not record it."""
    paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    matches = [match for match in map(LAYER.search, paths) if match]
    return int(matches[0][1]) if matches else None


def ends_of(layer: Layer, names: dict[str, str]) -> tuple[str, str]:
    """Return the names of the one value that a layer takes from the layer before it, and of the one it returns."""
    own = set(layer.nodes)
    inputs = (source for node in layer.nodes for source in node.all_input_nodes)
    (taken,) = {source.name for source in inputs if source not in own and source.name not in names}
    (given,) = {node.name for node in layer.nodes if any(user not in own for user in node.users)}
    return taken, given


def write_method(layer: Layer, title: str, taken: str, given: str, names: dict[str, str]) -> str:
    """Write the method of one layer."""
    lines = [f"    def layer_{layer.index}(self, tensors: dict[str, Tensor], {taken}: Tensor) -> Tensor:"]
    lines.append(f'        """{title}."""')
    lines += [f"        {node.name} = {write_call(node, taken, names)}" for node in layer.nodes]
    lines.append(f"        return {given}")
    return "\n" + "\n".join(lines) + "\n"


def write_call(node: Node, near: str, names: dict[str, str]) -> str:
    """Write one operation; `near` is a tensor on whose device new ones are made."""
    values = [write_value(value, near, names) for value in node.args]
    values += [f"{name}={write_value(value, near, names)}" for name, value in node.kwargs.items() if value is not None]
    target = node.target
    if target in SIGNS:
        return f" {SIGNS[target]} ".join(values)
    if target is operator.getitem:
        return f"{values[0]}[{values[1]}]"
    assert isinstance(target, torch._ops.OpOverload), target
    name = str(target).removesuffix(".default")
    return f"{name}({', '.join(values)})"


def write_value(value: Any, near: str, names: dict[str, str]) -> str:
    """Write an argument of an operation."""
    if isinstance(value, torch.fx.Node):
        return f'tensors["{names[value.name]}"]' if value.name in names else value.name
    if isinstance(value, torch.device):
        return f"{near}.device"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(write_value(item, near, names) for item in value)}]"
    if isinstance(value, float) and value in (float("inf"), -float("inf")):
        return f'float("{value}")'
    written = (bool, int, float, str, torch.dtype, torch.layout, torch.memory_format)
    assert value is None or isinstance(value, written), value
    return repr(value)
