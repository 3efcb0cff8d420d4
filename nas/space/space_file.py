"""Reads a search space from YAML, strictly: every error names its line and, for a wrong word, the close one."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from nas.errors import NasError, did_you_mean
from nas.shipped import space_folders
from nas.space.architecture import BITS, patch_size
from nas.space.definition import SpaceDefinition
from nas.space.kinds import KINDS, active_settings, misfit
from nas.space.operator import stage_grids
from nas.space.preset_file import read_presets, written
from nas.space.scan_choices import repeated_choice, repeated_scan, repeated_scope
from nas.space.settings import depth, image_side, positive
from nas.space.stage_space import StageSpace
from nas.yaml_reader import Reader, compose

SPACE_KEYS = ("name", "num_classes", "resolution", "stages")
SPACE_OPTIONS = ("stem", "head_bits", "presets")
STAGE_KEYS = ("width", "depth", "bits", "entry_bits", "stride", "blocks")
FILE_NAME = re.compile(r"\w[\w.+ -]{0,99}")  # files of latency tables are named after their space
MOST_BLOCKS_OF_A_KIND = 100_000  # each of them is checked
FLOAT: tuple[Any, ...] = ("fp",)
END_BITS = ("fp", 8)  # of stem and head: theirs are few weights that all others depend on
Grids = dict[int, int]  # side of a stage's grid -> the input resolution it belongs to


def shipped_spaces() -> dict[str, Path]:
    """Map the name of every space that can be found to its file; an earlier folder hides a later one."""
    spaces: dict[str, Path] = {}
    for folder in space_folders():
        for path in sorted(folder.glob("*.yaml")):
            spaces.setdefault(path.stem, path)
    return spaces


def find_space(name: str | Path) -> Path:
    """Return the file of a space, given by name or path; `NasError` where there is none."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = shipped_spaces()
        if str(name) not in known:
            raise NasError(f"no search space '{name}'", f"{did_you_mean(str(name), known)}; or give a .yaml file")
        path = known[str(name)]
    if not path.is_file():
        raise NasError(f"no search space file '{path}'", f"Shipped spaces: {', '.join(shipped_spaces())}")
    return path


def read_definition(text: str, source: str) -> SpaceDefinition:
    """Read a space from YAML text; `source` names it in errors."""
    root, reader = compose(text, source), Reader(source)
    parts = reader.mapping(root, (*SPACE_KEYS, *SPACE_OPTIONS), required=SPACE_KEYS, what="a search space")
    name = reader.text(parts["name"], "name")
    if not FILE_NAME.fullmatch(name):
        reader.fail(parts["name"], f"name {name[:50]!r} cannot be part of a file's name", "Use letters, digits, -_.+")
    num_classes = reader.one(parts["num_classes"], positive, "num_classes")
    resolutions = reader.choices(parts["resolution"], image_side, "resolution")
    stem = read_stem(reader, parts["stem"], resolutions) if "stem" in parts else "conv"
    nodes = reader.items(parts["stages"], "stages")
    strides = [read_stride(reader, node, first=node is nodes[0]) for node in nodes]
    sides = [stage_grids(stem, resolution, strides) for resolution in resolutions]
    stages = tuple(
        read_stage(
            reader,
            node,
            strides[s],
            {grids[s]: pixels for grids, pixels in zip(sides, resolutions, strict=True)},
            s > 0,
        )
        for s, node in enumerate(nodes)
    )
    head_bits = read_bits(reader, parts["head_bits"], "head_bits", END_BITS) if "head_bits" in parts else ("fp",)
    definition = SpaceDefinition(name, num_classes, resolutions, stages, stem, head_bits)
    if "presets" not in parts:
        return definition
    return replace(definition, presets=read_presets(reader, parts["presets"], definition))


def read_stem(reader: Reader, node: yaml.Node, resolutions: tuple[int, ...]) -> str:
    """Read the stem; patches need one resolution, because there is one set of positions, that divides into them."""
    stem = reader.text(node, "stem")
    try:
        patch = patch_size(stem)
    except ValueError as error:
        reader.fail(node, str(error), did_you_mean(stem, ("conv", "double-conv", "patch-16")))
    if patch is not None and (len(resolutions) > 1 or resolutions[0] % patch):
        reader.fail(node, f"the stem {stem} needs one resolution that divides by {patch}", "Choose one, such as [224]")
    return stem


def read_stride(reader: Reader, node: yaml.Node, first: bool) -> int:
    """Read the stride of a stage, 2 where none is given; the first stage has none."""
    parts = reader.mapping(node, STAGE_KEYS, required=("width", "depth", "blocks"), what="a stage")
    if "stride" not in parts:
        return 2
    if first:
        reader.fail(parts["stride"], "the first stage has no stride: the stem makes its grid", "Leave it out")
    return reader.one(parts["stride"], lambda value: None if value in (1, 2) else "must be 1 or 2", "stride")


def read_stage(reader: Reader, node: yaml.Node, stride: int, grids: Grids, has_step: bool) -> StageSpace:
    """Read one stage; `has_step`: it comes after another."""
    parts = reader.mapping(node, STAGE_KEYS, required=("width", "depth", "blocks"), what="a stage")
    widths = reader.choices(parts["width"], positive, "width")
    depths = reader.choices(parts["depth"], depth, "depth")
    blocks = reader.mapping(parts["blocks"], KINDS, required=(), what="blocks")
    if not blocks:
        reader.fail(parts["blocks"], "blocks is empty", f"Known kinds: {', '.join(KINDS)}")
    kinds = {kind: read_kind(reader, blocks[kind], kind, widths, grids) for kind in blocks}
    bits, kind_bits = read_block_bits(reader, parts.get("bits"), tuple(kinds))
    allowed = BITS if has_step else END_BITS
    entry = read_bits(reader, parts["entry_bits"], "entry_bits", allowed) if "entry_bits" in parts else ("fp",)
    return StageSpace(widths, depths, kinds, bits, stride, entry, kind_bits)


def read_block_bits(
    reader: Reader, node: yaml.Node | None, kinds: tuple[str, ...]
) -> tuple[tuple[Any, ...], dict[str, tuple[Any, ...]]]:
    """Read the bits of a stage's blocks: a list for all kinds that have an integer form, or a list per kind."""
    if node is None:
        return FLOAT, {}
    integer = [kind for kind in kinds if KINDS[kind].integer_kernels is not None]
    if not isinstance(node, yaml.MappingNode):
        bits = read_bits(reader, node, "bits", BITS)
        if len(integer) == len(kinds) or not integer:
            return bits if integer else FLOAT, {}
        return FLOAT, {kind: bits if kind in integer else FLOAT for kind in kinds}
    parts = reader.mapping(node, kinds, required=(), what="bits")
    chosen = {
        kind: read_bits(reader, parts[kind], f"bits of {kind}", BITS if kind in integer else FLOAT) for kind in parts
    }
    return FLOAT, {kind: chosen.get(kind, FLOAT) for kind in kinds}


def read_bits(reader: Reader, node: yaml.Node, what: str, allowed: tuple[Any, ...]) -> tuple[Any, ...]:
    """Read choices of bits, float among them: the float network teaches the others."""

    def known(value: Any) -> str | None:
        good = value in allowed and not isinstance(value, bool | float)
        return None if good else f"must be one of {', '.join(map(str, allowed))}"

    chosen = reader.choices(node, known, what)
    if "fp" not in chosen:
        reader.fail(node, f"{what} lacks fp: the float network teaches the others", "Add fp to the list")
    return tuple(sorted(chosen, key=allowed.index))


def read_kind(
    reader: Reader, node: yaml.Node, kind: str, widths: tuple[int, ...], grids: Grids
) -> dict[str, tuple[Any, ...]]:
    """Read one block kind's settings and check that each of its blocks fits each width, and no two are one."""
    rules = KINDS[kind].settings
    parts = reader.mapping(node, rules, required=rules, what=f"block kind '{kind}'")
    settings = {name: reader.choices(parts[name], rules[name], name) for name in rules}
    if len(widths) * math.prod(map(len, settings.values())) > MOST_BLOCKS_OF_A_KIND:
        reader.fail(node, f"block kind '{kind}' has more than {MOST_BLOCKS_OF_A_KIND} blocks", "Give fewer choices")
    for width, values in product(widths, product(*settings.values())):
        problem = misfit(kind, width, active_settings(kind, dict(zip(settings, values, strict=True))))
        if problem:
            reader.fail(
                parts.get("heads", node), f"block kind '{kind}': {problem}", "Change widths, heads or directions"
            )
    if "directions" in settings:
        check_directions(reader, parts["directions"], kind, settings, grids)
    if "scope" in settings:
        check_scopes(reader, parts["scope"], settings["scope"], grids)
    return settings


def check_directions(
    reader: Reader, node: yaml.Node, kind: str, settings: dict[str, tuple[Any, ...]], grids: Grids
) -> None:
    """Fail where a choice names one scan twice, or two choices are the same scans, on any grid of the stage."""
    choices, grouped = settings["directions"], settings.get("mode") == ("group",)
    assert isinstance(node, yaml.SequenceNode)
    for grid, pixels in sorted(grids.items()):
        for item, directions in zip(node.value, choices, strict=True):
            twice = repeated_scan(kind, directions, grid)
            if twice:
                name, other, side = twice
                place = f"on the {side} x {side} grid of {pixels} px {name} is {other}"
                reader.fail(item, f"directions {written(directions)}: {place}", f"Remove {name}")
        same = repeated_choice(kind, choices, grid, grouped)
        if same:
            item = node.value[choices.index(same[0])]
            both = f"{written(same[1])} and {written(same[0])}"
            place = f"on the {grid} x {grid} grid of {pixels} px"
            reader.fail(item, f"directions {both} are the same {place}", f"Remove {written(same[0])}")


def check_scopes(reader: Reader, node: yaml.Node, scopes: tuple[str, ...], grids: Grids) -> None:
    """Fail where two scopes are the same on any grid of the stage."""
    for grid, pixels in sorted(grids.items()):
        same = repeated_scope(scopes, grid)
        if same:
            place = f"on the {grid} x {grid} grid of {pixels} px"
            reader.fail(node, f"scope: {same[0]} is {same[1]} {place}", f"Remove {same[0]}")
