"""Exact parameters, multiply-accumulates (MACs), bytes and bit operations of operators and whole architectures."""

from __future__ import annotations

from nas.space.architecture import Architecture
from nas.space.cost_formulas import NOTHING, Cost
from nas.space.kinds import kind_of
from nas.space.operator import Operator, operators


def operator_cost(op: Operator) -> Cost:
    """Return the cost of one operator."""
    return kind_of(op.kind).cost(op) + Cost(0, 0, graph_bytes(op), 0)


def graph_bytes(op: Operator) -> int:
    """Return the bytes of one operator in a file that are neither weights nor their scales."""
    kind = kind_of(op.kind)
    return kind.graph.node_bytes(op.bits) + kind.table_bytes(op)


def architecture_cost(architecture: Architecture, num_classes: int) -> Cost:
    """Return the cost of a whole network: the sum over its operators."""
    return sum((operator_cost(op) for op in operators(architecture, num_classes)), NOTHING)


def num_params(op: Operator) -> int:
    """Return the parameters of one operator."""
    return operator_cost(op).num_params


def macs(op: Operator) -> int:
    """Return the MACs of one operator for one image."""
    return operator_cost(op).macs
