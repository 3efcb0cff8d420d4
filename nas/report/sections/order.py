"""The sections of the report, answer first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nas.report.content import ReportData
from nas.report.sections import (
    answer,
    choices,
    comparison,
    devices,
    drawings,
    fidelity,
    front,
    networks,
    presets,
    ranking,
    reproduction,
    search_progress,
    training,
)


class Section(NamedTuple):
    """A section: its place in the page, its heading, what makes its body; shown once per device, or once."""

    name: str
    title: str
    build: Callable[[ReportData], str]
    per_device: bool = False


SECTIONS = (
    Section("answer", "", answer.answer),
    Section("front", "Accuracy against latency", front.front, per_device=True),
    Section("networks", "The front, network by network", networks.networks, per_device=True),
    Section("presets", "Against hand-designed patterns in the same weights", presets.presets, per_device=True),
    Section("comparison", "Against hand-designed models", comparison.comparison),
    Section("devices", "Fronts on other devices", devices.devices),
    Section("fidelity", "Is the latency table right?", fidelity.fidelity, per_device=True),
    Section("ranking", "Does the supernet rank networks rightly?", ranking.ranking),
    Section("training", "Training of the supernet", training.training),
    Section("search", "Progress of the search", search_progress.search_progress, per_device=True),
    Section("choices", "What the front chose", choices.choices, per_device=True),
    Section("drawings", "Three networks drawn", drawings.drawings, per_device=True),
    Section("reproduction", "Data and reproduction", reproduction.reproduction),
)
