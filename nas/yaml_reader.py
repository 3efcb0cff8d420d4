"""Reads YAML nodes strictly: every error names its line and, for a wrong word, the close match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.composer import ComposerError

from nas.errors import NasError, did_you_mean

MERGE = "tag:yaml.org,2002:merge"
MOST_BYTES, MOST_DEPTH, MOST_NODES = 2_000_000, 40, 200_000  # of a file; of its nodes, aliases written out


def text_of(path: Path) -> str:
    """Read a text file; `NasError` where it is larger than MOST_BYTES or not in UTF-8."""
    if path.stat().st_size > MOST_BYTES:
        raise NasError(f"{path} is larger than {MOST_BYTES} bytes", "Is it the file you mean?")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NasError(f"{path} is not text in UTF-8: {error}", "Is it the file you mean?") from error


def compose(text: str, source: str) -> yaml.Node | None:
    """Read YAML text as nodes, None for an empty text; `NasError` where it is not YAML or would fill memory.

    With aliases written out ("billion laughs"), nodes lie at most MOST_DEPTH deep and are at most MOST_NODES.
    """
    try:
        root = yaml.compose(text, Loader=Shallow)
        count, depth = (0, 0) if root is None else size_of(root, {})
    except (yaml.YAMLError, ValueError) as error:
        raise NasError(f"{source} is not YAML: {error}", "Mend the syntax") from error
    if count > MOST_NODES or depth > MOST_DEPTH:
        raise NasError(f"{source} has aliases that stand for too much", "Write out what is meant")
    return root


class Shallow(yaml.SafeLoader):
    """Composes nodes at most MOST_DEPTH deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node and its parts."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ComposerError(None, None, f"nested deeper than {MOST_DEPTH}", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def size_of(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how many nodes a node stands for, and their depth; one that contains itself counts as too many."""
    if id(node) not in known:
        known[id(node)] = (
            MOST_NODES + 1,
            MOST_DEPTH + 1,
        )  # if met again while its parts are counted, it contains itself
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else parts
        sizes = [size_of(part, known) for part in parts]
        count = min(1 + sum(count for count, _ in sizes), MOST_NODES + 1)
        known[id(node)] = count, 1 + max((depth for _, depth in sizes), default=0)
    return known[id(node)]


def read_plain(text: str, source: str) -> Any:
    """Read YAML text as plain Python values, within the limits of `compose`."""
    root = compose(text, source)
    return None if root is None else Reader(source).value(root)


class Reader:
    """Turns YAML nodes into values and fails with the file and line of the node at fault."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, node: yaml.Node | None, problem: str, hint: str = "") -> NoReturn:
        """Raise `NasError` at the node's line."""
        line = f", line {node.start_mark.line + 1}" if node is not None else ""
        raise NasError(f"{self.source}{line}: {problem}", hint)

    def entries(self, node: yaml.Node | None, what: str, keys: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return a mapping's key and value nodes by key, in order; `keys` names them in an error.

        `<<: *anchor` puts another mapping's entries first; entries that are written out replace them.
        """
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, f"{what} must be a mapping of {keys or 'nothing: write {}'}")
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                merged |= self.entries(value_node, what, keys)
                continue
            key = str(self.value(key_node))
            if key in own:
                self.fail(key_node, f"{what} has the key '{key}' twice", "Keep one")
            own[key] = (key_node, value_node)
        return merged | own

    def mapping(
        self, node: yaml.Node | None, known: Iterable[str], required: Iterable[str], what: str
    ) -> dict[str, yaml.Node]:
        """Return a mapping's nodes by key; fail on an unknown, repeated or missing key."""
        entries = self.entries(node, what, ", ".join(known))
        for key, (key_node, _) in entries.items():
            if key not in known:
                hint = did_you_mean(key, known) if list(known) else "It has no settings: write {}"
                self.fail(key_node, f"{what} has no key '{key}'", hint)
        missing = [key for key in required if key not in entries]
        if missing:
            self.fail(node, f"{what} lacks '{missing[0]}'", f"Needed: {', '.join(required)}")
        return {key: value_node for key, (_, value_node) in entries.items()}

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Return the nodes of a list that is not empty."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fail(node, f"{what} must be a list of at least one {what.removesuffix('s')}")
        return node.value

    def choices(self, node: yaml.Node, rule: Callable[[Any], str | None], what: str) -> tuple[Any, ...]:
        """Return a non-empty list of distinct choices, each of which `rule` accepts."""
        if not isinstance(node, yaml.SequenceNode):
            self.fail(node, f"{what} must be a list of choices", "Write for example [3, 5]")
        if not node.value:
            self.fail(node, f"{what} has no choice", "Give at least one")
        values = [hashable(self.one(item, rule, what)) for item in node.value]
        if len(set(values)) < len(values):
            self.fail(node, f"{what} has a choice twice", "Keep one")
        return tuple(values)

    def one(self, node: yaml.Node, rule: Callable[[Any], str | None], what: str) -> Any:
        """Return one value that `rule` accepts."""
        value = self.value(node)
        problem = rule(value)
        if problem:
            self.fail(node, f"{what} {value!r} {problem}")
        return value

    def text(self, node: yaml.Node, what: str) -> str:
        """Return a text that is not empty."""
        value = self.value(node)
        if not isinstance(value, str) or not value.strip():
            self.fail(node, f"{what} must be a text")
        return value

    def value(self, node: yaml.Node) -> Any:
        """Turn a node into plain Python values by the safe constructor."""
        try:
            return yaml.SafeLoader("").construct_document(node)
        except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
            self.fail(node, f"not a plain value: {error}")


def hashable(value: Any) -> Any:
    """Turn a list into a tuple, and 4.0 into 4, so that equal values have one form."""
    if isinstance(value, list):
        return tuple(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
