"""Reads a search space from YAML, strictly: every error names its line and, for a wrong word, the close one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from nas.errors import NasError, did_you_mean
from nas.space.kinds import KINDS, is_active, misfit, positive
from nas.space.search_space import SearchSpace, StageSpace

SPACE_KEYS = ("name", "num_classes", "resolution", "stages")
STAGE_KEYS = ("width", "depth", "bits", "blocks")


def space_folders() -> list[Path]:
    """List where spaces are looked up: `search_spaces/` here, then the shipped ones."""
    shipped = Path(str(resources.files("nas"))) / "shipped" / "search_spaces"
    source_tree = Path(__file__).resolve().parents[2] / "search_spaces"
    return [Path("search_spaces"), shipped, source_tree]


def shipped_spaces() -> dict[str, Path]:
    """Map the name of every space that can be found to its file; an earlier folder hides a later one."""
    found: dict[str, Path] = {}
    for folder in space_folders():
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def load_space(name: str | Path) -> SearchSpace:
    """Load a space by name or path; `NasError` where there is none or it is wrong."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = shipped_spaces()
        if str(name) not in known:
            raise NasError(f"no search space '{name}'", f"{did_you_mean(str(name), known)}; or give a .yaml file")
        path = known[str(name)]
    if not path.is_file():
        raise NasError(f"no search space file '{path}'", f"Shipped spaces: {', '.join(shipped_spaces())}")
    return parse_space(path.read_text(encoding="utf-8"), str(path))


def parse_space(text: str, source: str) -> SearchSpace:
    """Read a space from YAML text; `source` names it in errors."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise NasError(f"{source} is not YAML: {error}", "Mend the syntax") from error
    reader = Reader(source)
    parts = reader.mapping(root, SPACE_KEYS, required=SPACE_KEYS, what="a search space")
    name = reader.value(parts["name"])
    if not isinstance(name, str):
        reader.fail(parts["name"], "name must be a text")
    num_classes = reader.one(parts["num_classes"], positive, "num_classes")
    resolutions = reader.choices(parts["resolution"], positive, "resolution")
    if not isinstance(parts["stages"], yaml.SequenceNode) or not parts["stages"].value:
        reader.fail(parts["stages"], "stages must be a list of at least one stage")
    stages = tuple(read_stage(reader, node) for node in parts["stages"].value)
    return SearchSpace(name, num_classes, resolutions, stages)


def read_stage(reader: Reader, node: yaml.Node) -> StageSpace:
    """Read one stage."""
    parts = reader.mapping(node, STAGE_KEYS, required=("width", "depth", "blocks"), what="a stage")
    widths = reader.choices(parts["width"], positive, "width")
    depths = reader.choices(parts["depth"], positive, "depth")
    bits = reader.choices(parts["bits"], bit_width, "bits") if "bits" in parts else ("fp",)
    blocks = reader.mapping(parts["blocks"], KINDS, required=(), what="blocks")
    if not blocks:
        reader.fail(parts["blocks"], "blocks is empty", f"Known kinds: {', '.join(KINDS)}")
    kinds = {kind: read_kind(reader, blocks[kind], kind, widths) for kind in blocks}
    return StageSpace(widths, depths, kinds, bits)


def read_kind(reader: Reader, node: yaml.Node, kind: str, widths: tuple[int, ...]) -> dict[str, tuple[Any, ...]]:
    """Read one block kind's settings and check that each of its blocks fits each width."""
    rules = KINDS[kind]
    parts = reader.mapping(node, rules, required=rules, what=f"block kind '{kind}'")
    settings = {name: reader.choices(parts[name], rules[name], name) for name in rules}
    for width, values in product(widths, product(*settings.values())):
        named = dict(zip(settings, values, strict=True))
        active = {name: value for name, value in named.items() if is_active(name, named)}
        problem = misfit(kind, width, active)
        if problem:
            reader.fail(parts["heads"], f"block kind '{kind}': {problem}", "Change heads, widths or directions")
    return settings


def bit_width(value: Any) -> str | None:
    """Accept `fp`; integers wait for kernels that stand behind them."""
    return None if value == "fp" else "must be fp (integer bit-widths are not searchable yet)"


class Reader:
    """Walks YAML nodes and fails with the file and line of the node at fault."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, node: yaml.Node | None, problem: str, hint: str = "") -> Any:
        """Raise `NasError` at the node's line."""
        line = f", line {node.start_mark.line + 1}" if node is not None else ""
        raise NasError(f"{self.source}{line}: {problem}", hint)

    def mapping(
        self, node: yaml.Node | None, known: Iterable[str], required: Iterable[str], what: str
    ) -> dict[str, yaml.Node]:
        """Give a mapping's nodes by key; fail on an unknown, repeated or missing key."""
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, f"{what} must be a mapping of {', '.join(known) or 'nothing: write {}'}")
            raise AssertionError
        parts: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = str(self.value(key_node))
            if key not in known:
                hint = did_you_mean(key, known) if list(known) else "It has no settings: write {}"
                self.fail(key_node, f"{what} has no key '{key}'", hint)
            if key in parts:
                self.fail(key_node, f"{what} has the key '{key}' twice", "Keep one")
            parts[key] = value_node
        missing = [key for key in required if key not in parts]
        if missing:
            self.fail(node, f"{what} lacks '{missing[0]}'", f"Needed: {', '.join(required)}")
        return parts

    def choices(self, node: yaml.Node, rule: Callable[[Any], str | None], what: str) -> tuple[Any, ...]:
        """Give a non-empty list of distinct choices, each of which `rule` accepts."""
        if not isinstance(node, yaml.SequenceNode):
            self.fail(node, f"{what} must be a list of choices", "Write for example [3, 5]")
            raise AssertionError
        if not node.value:
            self.fail(node, f"{what} has no choice", "Give at least one")
        values = [self.one(item, rule, what) for item in node.value]
        values = [tuple(value) if isinstance(value, list) else value for value in values]
        if len(set(values)) < len(values):
            self.fail(node, f"{what} has a choice twice", "Keep one")
        return tuple(values)

    def one(self, node: yaml.Node, rule: Callable[[Any], str | None], what: str) -> Any:
        """Give one value that `rule` accepts."""
        value = self.value(node)
        problem = rule(value)
        if problem:
            self.fail(node, f"{what} {value!r} {problem}")
        return value

    def value(self, node: yaml.Node) -> Any:
        """Turn a node into plain Python values by the safe constructor."""
        try:
            return yaml.SafeLoader("").construct_document(node)
        except (yaml.YAMLError, ValueError, TypeError) as error:
            return self.fail(node, f"not a plain value: {error}")
