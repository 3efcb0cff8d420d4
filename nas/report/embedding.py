"""The data inside the page, each fact once: evaluations as columns, architectures by the numbers of their blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from nas.report.content import ReportData, Row

ARCHITECTURES = ("evaluations", "front", "presets")  # parts whose rows hold an architecture
SHARED = ("manifest", "training", "audit", "transfer")  # parts of the run, not of one of its devices
Blocks = dict[str, int]  # JSON of a block -> its number


def embedded(data: ReportData) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Give the page's data and its distinct blocks, which `card.js` puts together to whole architectures again."""
    blocks: Blocks = {}
    devices = [device_part(each, blocks) for each in (data, *data.others)]
    distinct = [json.loads(text) for text in blocks]
    shared = {name: getattr(data, name) for name in ("title", "command", *SHARED)}
    return {**shared, "devices": devices, "blocks": distinct}, distinct


def device_part(data: ReportData, blocks: Blocks) -> dict[str, Any]:
    """Give what belongs to one device's search."""
    names = [item.name for item in fields(data) if item.name not in {"title", "others", *SHARED}]
    return {
        name: packed(getattr(data, name), blocks) if name in ARCHITECTURES else getattr(data, name) for name in names
    }


def packed(rows: Sequence[Row], blocks: Blocks) -> dict[str, Any]:
    """Turn rows into column names and lists of values; new blocks get the next numbers in `blocks`."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    values = [
        [numbered(row[name], blocks) if name == "architecture" else row.get(name) for name in columns] for row in rows
    ]
    return {"columns": columns, "rows": values}


def numbered(architecture: Mapping[str, Any], blocks: Blocks) -> dict[str, Any]:
    """Put numbers in the place of an architecture's blocks."""
    stages = [
        {**stage, "blocks": [blocks.setdefault(json_of(block), len(blocks)) for block in stage["blocks"]]}
        for stage in architecture["stages"]
    ]
    return {**architecture, "stages": stages}


def json_of(block: Row) -> str:
    """One text per block; its settings keep their order, in which they are drawn."""
    return json.dumps(block)
