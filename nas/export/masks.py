"""Masks [L, L] of a scan: in a file they are made from the steps [L] at which tokens are visited.

The comparison is made once, when a runtime loads the file and folds constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

LEAST_BYTES = 256  # of a mask that is worth three nodes


def write_masks(graph: Any) -> None:
    """Replace, in place, every stored mask that hides later tokens by the comparison of their steps."""
    from onnx import numpy_helper

    made: list[Any] = []
    kept: list[Any] = []
    for tensor in graph.initializer:
        mask = numpy_helper.to_array(tensor)
        parts = steps_of(mask) if mask.nbytes >= LEAST_BYTES else None
        if parts is None:
            kept.append(tensor)
            continue
        stored = constants(*parts)
        kept += [numpy_helper.from_array(value, f"{tensor.name}_{name}") for name, value in stored.items()]
        made += comparison(tensor.name, "segment" in stored)
    nodes = [*made, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def steps_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return the step and the segment of each token, int32 [L] each, of a mask [L, L] of 0 and -inf.

    `mask[i, j]` must be 0 where step i >= step j in the same segment, else -inf; None for any other mask. The segments
    are None where there is only one.
    """
    if mask.dtype != np.float32 or mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return None
    seen = mask == 0
    step, segment = seen.sum(1) - 1, (seen | seen.T).argmax(1)
    together = segment[:, None] == segment
    if not np.array_equal(mask, np.where((step[:, None] >= step) & together, 0, -np.inf)):
        return None
    return step.astype(np.int32), None if together.all() else segment.astype(np.int32)


def constants(step: np.ndarray, segment: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the constants that the comparison reads, by the ends of their names."""
    values = {"step": step, "axis": np.array([1]), "seen": np.array(0, np.float32), "hidden": np.array(-np.inf, "f4")}
    return values if segment is None else {**values, "segment": segment}


def comparison(name: str, segmented: bool) -> Iterator[Any]:
    """Yield the nodes that make the mask `name` from its constants."""
    from onnx import helper

    def node(kind: str, inputs: str, output: str) -> Any:
        return helper.make_node(kind, [f"{name}_{end}" for end in inputs.split()], [f"{name}_{output}".rstrip("_")])

    yield node("Unsqueeze", "step axis", "row_step")
    yield node("GreaterOrEqual", "row_step step", "earlier")
    if segmented:
        yield node("Unsqueeze", "segment axis", "row_segment")
        yield node("Equal", "row_segment segment", "together")
        yield node("And", "earlier together", "both")
    yield node("Where", "both seen hidden" if segmented else "earlier seen hidden", "")
