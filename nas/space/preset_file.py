"""Reads the `presets` of a space file: each must be an architecture of the space, in a short notation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from nas.errors import did_you_mean
from nas.space.architecture import Architecture, Block, Stage
from nas.space.definition import SpaceDefinition
from nas.space.kinds import is_active
from nas.space.preset import Preset
from nas.space.stage_space import StageSpace
from nas.yaml_reader import Reader, hashable

PRESET_KEYS = ("source", "resolution", "stages")
PRESET_OPTIONS = ("head_bits",)
STAGE_KEYS = ("width", "depth", "entry_bits", "block", "blocks")


def read_presets(reader: Reader, node: yaml.Node, space: SpaceDefinition) -> dict[str, Preset]:
    """Read presets by name; `NasError` at the line of a choice that the space does not have."""
    entries = reader.entries(node, "presets", "names to architectures")
    return {name: read_preset(reader, value, name, space) for name, (_, value) in entries.items()}


def read_preset(reader: Reader, node: yaml.Node, name: str, space: SpaceDefinition) -> Preset:
    """Read one preset."""
    what = f"preset '{name}'"
    parts = reader.mapping(node, (*PRESET_KEYS, *PRESET_OPTIONS), required=PRESET_KEYS, what=what)
    source = reader.text(parts["source"], f"the source of {what}")
    resolution = choose(reader, parts["resolution"], space.resolutions, f"{what}: resolution")
    nodes = reader.items(parts["stages"], "stages")
    if len(nodes) != len(space.stages):
        reader.fail(parts["stages"], f"{what} has {len(nodes)} stages, the space {len(space.stages)}")
    stages = tuple(
        read_stage(reader, stage_node, stage, f"{what}, stage {number}")
        for number, (stage_node, stage) in enumerate(zip(nodes, space.stages, strict=True), 1)
    )
    head = chosen_bits(reader, parts.get("head_bits"), space.head_bits, f"{what}: head_bits")
    return Preset(name, Architecture(resolution, stages, space.stem, head), source)


def read_stage(reader: Reader, node: yaml.Node, stage: StageSpace, what: str) -> Stage:
    """Read one stage: `blocks: [...]`, or `depth: N` and the `block` that stands N times."""
    parts = reader.mapping(node, STAGE_KEYS, required=("width",), what=what)
    width = choose(reader, parts["width"], stage.widths, f"{what}: width")
    entry = chosen_bits(reader, parts.get("entry_bits"), stage.entry_bits, f"{what}: entry_bits")
    if ("blocks" in parts) == ("block" in parts) or ("depth" in parts) != ("block" in parts):
        reader.fail(node, f"{what} needs its blocks", "Give blocks: [...], or depth: N and block: {...}")
    if "block" in parts:
        depth = choose(reader, parts["depth"], stage.depths, f"{what}: depth")
        return Stage(width, (read_block(reader, parts["block"], stage, what),) * depth, stage.stride, entry)
    nodes = reader.items(parts["blocks"], "blocks")
    if len(nodes) not in stage.depths:
        reader.fail(parts["blocks"], f"{what} has {len(nodes)} blocks", f"The space has depth {listed(stage.depths)}")
    return Stage(width, tuple(read_block(reader, block_node, stage, what) for block_node in nodes), stage.stride, entry)


def read_block(reader: Reader, node: yaml.Node, stage: StageSpace, what: str) -> Block:
    """Read `{kind: {setting: value}}`; a setting for which the stage has one choice may be left out."""
    entries = reader.entries(node, f"a block of {what}", "one kind to its settings")
    if len(entries) != 1:
        reader.fail(node, f"a block of {what} must name one kind", "Write {conv: {kernel: 3}}")
    ((kind, (kind_node, settings_node)),) = entries.items()
    if kind not in stage.kinds:
        reader.fail(kind_node, f"{what}: the space has no '{kind}' there", did_you_mean(kind, stage.kinds))
    options: dict[str, tuple[Any, ...]] = {**stage.kinds[kind], "bits": stage.bits_of(kind)}
    parts = reader.mapping(settings_node, options, required=(), what=f"'{kind}' of {what}")
    chosen = {name: choose(reader, parts[name], options[name], f"{what}: {name} of '{kind}'") for name in parts}
    for name, choices in options.items():
        active = is_active(kind, name, {option: chosen.get(option, options[option][0]) for option in options})
        if name in chosen and not active:
            reader.fail(parts[name], f"{what}: {name} of '{kind}' has no effect here", "Leave it out")
        if name == "bits":
            chosen.setdefault(name, "fp")
        elif name not in chosen and active:
            chosen[name] = only(reader, node, choices, f"'{kind}' of {what} lacks '{name}'")
    return Block.of(kind, chosen.pop("bits"), **chosen)


def chosen_bits(reader: Reader, node: yaml.Node | None, choices: tuple[Any, ...], what: str) -> Any:
    """Return the bits of an entry or a head; float where none are given."""
    return "fp" if node is None else choose(reader, node, choices, what)


def choose(reader: Reader, node: yaml.Node, choices: tuple[Any, ...], what: str) -> Any:
    """Return the value of a node, which must be one of `choices`."""
    value = hashable(reader.value(node))
    if isinstance(value, bool) or value not in choices:
        reader.fail(node, f"{what} {written(value)} is not in the space", f"It has {listed(choices)}")
    return value


def only(reader: Reader, node: yaml.Node, choices: tuple[Any, ...], problem: str) -> Any:
    """Return the only choice; fail where there are several."""
    if len(choices) > 1:
        reader.fail(node, problem, f"The space has {listed(choices)}")
    return choices[0]


def listed(choices: Iterable[Any]) -> str:
    """Write choices in a row."""
    return ", ".join(map(written, choices))


def written(value: Any) -> str:
    """Write a choice as YAML does."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
