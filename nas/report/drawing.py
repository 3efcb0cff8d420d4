"""Architectures drawn with HTML and CSS: one strip per stage, one box per block, coloured by kind."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nas.report.content import Row, blocks_of
from nas.report.figures import colour

ARROWS = {"h": "→", "h_flip": "←", "v": "↓", "v_flip": "↑"}
SHORT = {"kernel": "k", "expansion": "e", "heads": "heads ", "state": "state "}  # other settings keep their name


def strips(architecture: Row, kinds: list[str]) -> str:
    """The stages of an architecture from top to bottom, the blocks of each from left to right."""
    stem = box("stem", "transparent", f"{architecture['resolution']} px", f"{architecture['stages'][0]['width']} wide")
    start = f'<li><span class="stage">input</span><span class="blocks">{stem}</span></li>'
    stages = "".join(
        f'<li><span class="stage">stage {number}<br><small>{escape(str(stage["width"]))} wide</small></span>'
        f'<span class="blocks">{"".join(block_box(block, kinds) for block in stage["blocks"])}</span></li>'
        for number, stage in enumerate(architecture["stages"], 1)
    )
    return f'<ol class="architecture">{start}{stages}</ol>'


def block_box(block: Row, kinds: list[str]) -> str:
    """One block: its kind, then its settings; its bits unless it is not quantised."""
    settings = [
        f"{SHORT.get(name, name + ' ')}{value}"
        for name, value in block.items()
        if name not in {"kind", "directions", "bits", "mode"} and value is not None
    ]
    directions = block.get("directions") or ()
    if directions:
        arrows = " ".join(ARROWS.get(direction, direction) for direction in directions)
        settings.insert(0, f"{arrows} {block.get('mode', '') if len(directions) > 1 else ''}".strip())
    if block.get("bits", "fp") != "fp":
        settings.append(f"{block['bits']} bits")
    spoken = ", ".join(f"{name} {value}" for name, value in block.items())
    return box(block["kind"], colour(block["kind"], kinds), " ".join(settings), title=spoken)


def box(name: str, fill: str, *lines: str, title: str = "") -> str:
    """A labelled box with a coloured edge."""
    hint = f' title="{escape(title)}"' if title else ""
    small = "".join(f"<small>{escape(line)}</small>" for line in lines if line)
    return f'<span class="block" style="border-top-color:{fill}"{hint}><b>{escape(name)}</b>{small}</span>'


def legend(kinds: list[str], directions: Iterable[str]) -> str:
    """What colours and arrows mean."""
    swatches = [
        f'<li><i class="swatch" style="background:{colour(kind, kinds)}"></i>{escape(kind)}</li>' for kind in kinds
    ]
    arrows = [f"<li>{ARROWS[name]} scan {escape(name)}</li>" for name in sorted(directions) if name in ARROWS]
    letters = "<li>k kernel</li><li>e expansion</li>"
    return f'<ul class="legend">{"".join(swatches + arrows)}{letters}</ul>'


def kinds_of(rows: Iterable[Row]) -> list[str]:
    """Every block kind that occurs, sorted."""
    return sorted({block["kind"] for row in rows for _, block in blocks_of(row)})


def directions_of(rows: Iterable[Row]) -> set[str]:
    """Every scan direction that occurs."""
    return {direction for row in rows for _, block in blocks_of(row) for direction in block.get("directions") or ()}
