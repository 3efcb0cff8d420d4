"""Architectures drawn with HTML and CSS: one strip per stage, one box per block, coloured by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from nas.report.content import blocks_of, directions_in
from nas.report.figures import colour
from nas.report.scan_grid import scan_icon
from nas.space.architecture import Architecture, Block
from nas.space.merge_mode import several

if TYPE_CHECKING:
    from nas.search.evaluation_row import JudgedNetwork

SHORT = {"kernel": "k", "expansion": "e", "heads": "heads ", "state": "state "}  # other settings keep their name


def strips(architecture: Architecture, kinds: Sequence[str]) -> str:
    """Return the stages of an architecture from top to bottom, the blocks of each from left to right."""
    stem = "stem" if architecture.stem == "conv" else f"stem {architecture.stem}"
    rows = [
        strip("input", f"{architecture.resolution} px", [plain_box(stem, architecture.stages[0].entry_bits)]),
        *(
            strip(f"stage {number}", f"{stage.width} wide", [block_box(block, kinds) for block in stage.blocks])
            for number, stage in enumerate(architecture.stages, 1)
        ),
        strip("output", "", [plain_box("classifier", architecture.head_bits)]),
    ]
    return f'<ol class="architecture">{"".join(rows)}</ol>'


def strip(name: str, note: str, boxes: Sequence[str]) -> str:
    """Return one line of a drawing: its name, a note, its boxes."""
    label = f"{escape(name)}<br><small>{escape(note)}</small>"
    return f'<li><span class="stage">{label}</span><span class="blocks">{"".join(boxes)}</span></li>'


def plain_box(name: str, bits: str | int) -> str:
    """Return the stem or the classifier: only its name and its bits."""
    return f'<span class="block plain"><b>{escape(name)}</b>{bits_label(bits)}</span>'


def block_box(block: Block, kinds: Sequence[str]) -> str:
    """Return one block: its kind, bits unless it is not quantised, scans as little grids, and its other settings."""
    settings = " ".join(
        f"{SHORT.get(name, name + ' ')}{value}"
        for name, value in block.settings
        if name not in {"directions", "mode"} and value is not None
    )
    document = block.to_dict()
    spoken = ", ".join(f"{name} {document[name]}" for name in ("kind", *sorted(document.keys() - {"kind"})))
    lines = f"<small>{escape(settings)}</small>" if settings else ""
    style = f"border-left-color:{colour(block.kind, kinds)}"
    return (
        f'<span class="block" style="{style}" title="{escape(spoken)}"><b>{escape(block.kind)}</b>'
        f"{bits_label(block.bits)}{scans(block)}{lines}</span>"
    )


def bits_label(bits: str | int) -> str:
    """Return a bit-width as a label; nothing in float."""
    return "" if bits == "fp" else f' <i class="bits">{escape(str(bits))} bit</i>'


def scans(block: Block) -> str:
    """Return the scan directions of a block as grids, with their names and, of several, how they are combined."""
    directions, mode = directions_in(block), dict(block.settings).get("mode")
    if not directions:
        return ""
    icons = "".join(scan_icon(escape(name)) for name in directions)
    combined = f" {mode}" if several(directions) and mode else ""
    return f'<span class="scans">{icons}</span><small>{escape(" ".join(directions) + combined)}</small>'


def legend(kinds: Sequence[str]) -> str:
    """Return what colours and letters mean."""
    swatches = "".join(
        f'<li><i class="swatch" style="background:{colour(kind, kinds)}"></i>{escape(kind)}</li>' for kind in kinds
    )
    return f'<ul class="legend">{swatches}<li>k kernel</li><li>e expansion</li><li>● where a scan begins</li></ul>'


def templates(blocks: Sequence[Block], kinds: Sequence[str]) -> str:
    """Return every distinct block drawn once, as templates `block-0`, `block-1` ... for the page's card."""
    return "".join(
        f'<template id="block-{number}">{block_box(block, kinds)}</template>' for number, block in enumerate(blocks)
    )


def kinds_of(rows: Iterable[JudgedNetwork]) -> list[str]:
    """Return every block kind that occurs, sorted."""
    return sorted({block.kind for row in rows for _, block in blocks_of(row)})


def scan_directions_of(rows: Iterable[JudgedNetwork]) -> set[str]:
    """Return every scan direction that occurs."""
    return {direction for row in rows for _, block in blocks_of(row) for direction in directions_in(block)}
