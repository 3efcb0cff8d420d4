"""The data inside the page, each fact once: evaluations as columns, architectures by the numbers of their blocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from nas.files import JsonObject
from nas.report.content import ReportData
from nas.space.architecture import Architecture, Block

if TYPE_CHECKING:
    from nas.search.evaluation_row import JudgedNetwork

JsonObject = JsonObject
Blocks = dict[Block, int]  # block -> its number


def embedded(data: ReportData) -> tuple[JsonObject, list[Block]]:
    """Return the page's data and its distinct blocks, from which `card.js` puts architectures together again."""
    blocks: Blocks = {}
    devices = [device_part(search, blocks) for search in (data, *data.others)]
    values = {
        "title": data.title,
        "command": data.command,
        "manifest": data.documents.manifest,
        "training": [asdict(epoch) for epoch in data.training],
        "audit": data.documents.audit,
        "transfer": [row.to_row() for row in data.transfer],
        "devices": devices,
        "blocks": [block_document(block) for block in blocks],
    }
    return values, list(blocks)


def device_part(data: ReportData, blocks: Blocks) -> JsonObject:
    """Return what belongs to one device's search."""
    return {
        "command": data.command,
        "device": data.device,
        "backend": data.backend,
        "max_latency_ms": data.max_latency_ms,
        "evaluations": packed(data.evaluations, blocks),
        "num_evaluations": data.num_evaluations,
        "front": packed(data.front, blocks),
        "presets": packed(data.presets, blocks),
        "hypervolume": data.hypervolume,
        "sanity": {} if data.quality is None else data.quality.to_json(),
        "compare": [network.to_row() for network in data.compare],
        "table": data.documents.table,
        "warnings": data.warnings,
    }


def packed(rows: Sequence[JudgedNetwork], blocks: Blocks) -> JsonObject:
    """Turn rows into column names and lists of values; new blocks get the next numbers in `blocks`."""
    cells = [row.to_row() | {"architecture": numbered(row.architecture, blocks)} for row in rows]
    return {"columns": list(cells[0]) if cells else [], "rows": [list(row.values()) for row in cells]}


def numbered(architecture: Architecture, blocks: Blocks) -> JsonObject:
    """Return an architecture in JSON types with numbers in the place of its blocks."""
    document: JsonObject = json.loads(architecture.to_json())
    for stage_document, stage in zip(document["stages"], architecture.stages, strict=True):
        stage_document["blocks"] = [blocks.setdefault(block, len(blocks)) for block in stage.blocks]
    return document


def block_document(block: Block) -> JsonObject:
    """Return a block in JSON types, its settings sorted as in canonical JSON."""
    return dict(sorted(block.to_dict().items()))
