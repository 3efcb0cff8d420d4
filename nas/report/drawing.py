"""Architectures drawn with HTML and CSS: one strip per stage, one box per block, coloured by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from nas.report.content import Row, blocks_of
from nas.report.figures import colour
from nas.report.scan_grid import scan_icon
from nas.space.settings import several

SHORT = {"kernel": "k", "expansion": "e", "heads": "heads ", "state": "state "}  # other settings keep their name


def strips(architecture: Row, kinds: list[str]) -> str:
    """The stages of an architecture from top to bottom, the blocks of each from left to right."""
    stages = architecture["stages"]
    stem = {"kind": f"stem {architecture.get('stem', '')}".strip(), "bits": stages[0].get("entry_bits", "fp")}
    head = {"kind": "classifier", "bits": architecture.get("head_bits", "fp")}
    rows = [
        strip("input", f"{architecture['resolution']} px", [plain_box(stem)]),
        *(
            strip(f"stage {number}", f"{stage['width']} wide", [block_box(block, kinds) for block in stage["blocks"]])
            for number, stage in enumerate(stages, 1)
        ),
        strip("output", "", [plain_box(head)]),
    ]
    return f'<ol class="architecture">{"".join(rows)}</ol>'


def strip(name: str, note: str, boxes: Sequence[str]) -> str:
    """One line of a drawing: what it is, a note, its boxes."""
    label = f"{escape(name)}<br><small>{escape(note)}</small>"
    return f'<li><span class="stage">{label}</span><span class="blocks">{"".join(boxes)}</span></li>'


def plain_box(block: Row) -> str:
    """What is no block of a stage: only its name and its bits."""
    return f'<span class="block plain"><b>{escape(block["kind"])}</b>{bits_label(block)}</span>'


def block_box(block: Row, kinds: Sequence[str]) -> str:
    """One block: its kind, bits unless it is not quantised, scans as little grids, and its other settings."""
    settings = " ".join(
        f"{SHORT.get(name, name + ' ')}{value}"
        for name, value in block.items()
        if name not in {"kind", "directions", "bits", "mode"} and value is not None
    )
    spoken = ", ".join(f"{name} {value}" for name, value in {"kind": block["kind"], **block}.items())
    lines = f"<small>{escape(settings)}</small>" if settings else ""
    style = f"border-left-color:{colour(block['kind'], kinds)}"
    return (
        f'<span class="block" style="{style}" title="{escape(spoken)}"><b>{escape(block["kind"])}</b>'
        f"{bits_label(block)}{scans(block)}{lines}</span>"
    )


def bits_label(block: Row) -> str:
    """The bit-width of a quantised block as a label; nothing in float."""
    bits = block.get("bits", "fp")
    return "" if bits == "fp" else f' <i class="bits">{escape(str(bits))} bit</i>'


def scans(block: Row) -> str:
    """The scan directions of a block as grids, with their names and, of several, how they are combined."""
    directions = block.get("directions") or ()
    if not directions:
        return ""
    icons = "".join(scan_icon(escape(name)) for name in directions)
    combined = f" {block['mode']}" if several(directions) and block.get("mode") else ""
    return f'<span class="scans">{icons}</span><small>{escape(" ".join(directions) + combined)}</small>'


def legend(kinds: Sequence[str]) -> str:
    """What colours and letters mean."""
    swatches = "".join(
        f'<li><i class="swatch" style="background:{colour(kind, kinds)}"></i>{escape(kind)}</li>' for kind in kinds
    )
    return f'<ul class="legend">{swatches}<li>k kernel</li><li>e expansion</li><li>● where a scan begins</li></ul>'


def templates(blocks: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> str:
    """Every distinct block drawn once, as templates `block-0`, `block-1` ... that the page's card puts together."""
    return "".join(
        f'<template id="block-{number}">{block_box(block, kinds)}</template>' for number, block in enumerate(blocks)
    )


def kinds_of(rows: Iterable[Row]) -> list[str]:
    """Every block kind that occurs, sorted."""
    return sorted({block["kind"] for row in rows for _, block in blocks_of(row)})


def directions_of(rows: Iterable[Row]) -> set[str]:
    """Every scan direction that occurs."""
    return {direction for row in rows for _, block in blocks_of(row) for direction in block.get("directions") or ()}
