"""One record per kind of operator: its settings, what they require, its cost, its bytes in a file, its kernels.

A new kind of block is one entry in `KINDS` and one in `nas.nn.blocks.BLOCKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.errors import NasError, did_you_mean
from nas.space import cost_formulas as cost
from nas.space import requirements
from nas.space.cost_formulas import Cost
from nas.space.graph_size import GraphSize, attention_tables, multiscale_tables, no_tables, scan_tables
from nas.space.operator import Operator
from nas.space.requirements import MODE_NEEDS_DIRECTIONS, Condition, Requirement, fits_any_width
from nas.space.settings import Check, merge_mode, odd, positive, ratio, scans, scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is known of a kind of operator; only its module is elsewhere.

    `settings` maps the name of each setting to its check. `active_when` names the settings that have an effect only
    beside some values of another one, which comes first in the alphabet. `misfit` returns what does not fit.
    `cost` counts weights and work. `graph` and `table_bytes` are what an exported file holds beside weights.
    `integer_kernels` counts what has to run on integer values, by what it computes (`conv`, `linear`, `add`).
    A kind without (None) has no integer form: it is offered in float only.
    `halves_later_scans`: all directions but the first scan a grid of half the side.
    """

    cost: Callable[[Operator], Cost]
    graph: GraphSize
    settings: Mapping[str, Check] = field(default_factory=dict)
    active_when: Mapping[str, Condition] = field(default_factory=dict)
    misfit: Requirement = fits_any_width
    table_bytes: Callable[[Operator], int] = no_tables
    integer_kernels: Mapping[str, int] | None = None
    halves_later_scans: bool = False

    def __post_init__(self) -> None:
        for name, condition in self.active_when.items():
            if name not in self.settings or condition.setting not in self.settings or condition.setting >= name:
                raise NasError(
                    f"the setting '{name}' cannot depend on '{condition.setting}'",
                    "Both must be settings of the kind, and the second must come first in the alphabet",
                )


# The kinds of block that a space file may name.
KINDS: dict[str, Kind] = {
    "basic": Kind(
        cost=cost.basic_cost,
        graph=GraphSize(373, 360, 539),
        integer_kernels={"conv": 2, "add": 1},
    ),
    "conv": Kind(
        settings={"kernel": odd, "expansion": ratio},
        cost=cost.bottleneck_cost,
        graph=GraphSize(529, 534, 797),
        integer_kernels={"conv": 3, "add": 1},
    ),
    "large-kernel": Kind(
        settings={"kernel": odd, "band": odd, "expansion": ratio},
        misfit=requirements.branches_divide_width,
        cost=cost.large_kernel_cost,
        graph=GraphSize(1344, 1182, 1614),
        integer_kernels={"conv": 5, "add": 1},
    ),
    "pool": Kind(
        settings={"kernel": odd, "expansion": ratio},
        cost=cost.pool_cost,
        graph=GraphSize(607, 576, 754),
        integer_kernels={"conv": 2, "add": 2},
    ),
    "gated-conv": Kind(
        settings={"kernel": odd, "expansion": ratio},
        cost=cost.gated_cost,
        graph=GraphSize(930, 897, 1246),
        integer_kernels={"linear": 3, "conv": 1, "add": 1},
    ),
    "ssd": Kind(
        settings={
            "expansion": ratio,
            "heads": positive,
            "state": positive,
            "kernel": odd,
            "directions": scans,
            "mode": merge_mode,
        },
        active_when={"mode": MODE_NEEDS_DIRECTIONS},
        misfit=requirements.scans_fit,
        cost=cost.ssd_cost,
        graph=GraphSize(2160, 1460, 2055),
        table_bytes=scan_tables,
        integer_kernels={"linear": 6, "conv": 1, "add": 1},
    ),
    "nc-ssd": Kind(
        settings={"expansion": ratio, "heads": positive, "state": positive, "kernel": odd},
        misfit=requirements.heads_divide_hidden,
        cost=cost.non_causal_cost,
        graph=GraphSize(2010, 1448, 2040),
        integer_kernels={"linear": 6, "conv": 1, "add": 1},
    ),
    "hsm": Kind(
        settings={"expansion": ratio, "state": positive, "kernel": odd},
        cost=cost.hidden_state_cost,
        graph=GraphSize(1450, 577, 757),
        integer_kernels={"linear": 1, "conv": 1, "add": 1},
    ),
    "multiscale": Kind(
        settings={"expansion": ratio, "heads": positive, "state": positive, "kernel": odd, "directions": scans},
        misfit=requirements.two_scales_fit,
        cost=cost.multiscale_cost,
        graph=GraphSize(4100, 1720, 2450),
        table_bytes=multiscale_tables,
        integer_kernels={"linear": 6, "conv": 2, "add": 1},
        halves_later_scans=True,
    ),
    "state-fusion": Kind(
        settings={"expansion": ratio, "heads": positive, "kernel": odd, "directions": scans},
        misfit=requirements.one_scan_fits,
        cost=cost.state_fusion_cost,
        graph=GraphSize(2960, 1440, 2035),
        table_bytes=scan_tables,
        integer_kernels={"linear": 6, "conv": 1, "add": 1},
    ),
    "attention": Kind(
        settings={"heads": positive, "expansion": ratio, "scope": scope},
        misfit=requirements.heads_divide_width,
        cost=cost.attention_cost,
        graph=GraphSize(1480, 1369, 1886),
        table_bytes=attention_tables,
        integer_kernels={"linear": 6, "add": 2},
    ),
}

# What stands at fixed places around the blocks: stems, steps between stages, the head, and transitions between float
# and integer values.
FIXED_KINDS: dict[str, Kind] = {
    "stem": Kind(cost=cost.stem_cost, graph=GraphSize(178, 143, 232), integer_kernels={"conv": 1}),
    "double-stem": Kind(cost=cost.double_stem_cost, graph=GraphSize(347, 290, 468), integer_kernels={"conv": 2}),
    "patch-stem": Kind(
        settings={"patch": positive},
        cost=cost.patch_stem_cost,
        graph=GraphSize(198, 233, 329),
        integer_kernels={"conv": 1},
    ),
    "downsample": Kind(cost=cost.stem_cost, graph=GraphSize(179, 143, 232), integer_kernels={"conv": 1}),
    "widen": Kind(cost=cost.widen_cost, graph=GraphSize(179, 142, 231), integer_kernels={"conv": 1}),
    "head": Kind(
        cost=cost.head_cost,
        graph=GraphSize(290, 315, 410),  # with what a file has once
        integer_kernels={"linear": 1},
    ),
    "quantize": Kind(cost=cost.quantize_cost, graph=GraphSize(0, 88, 88), integer_kernels={}),
    "dequantize": Kind(cost=cost.dequantize_cost, graph=GraphSize(0, 0, 0), integer_kernels={}),
}


def kind_of(name: str) -> Kind:
    """Return the record of a kind of block, stem, step, head or transition."""
    kind = KINDS.get(name) or FIXED_KINDS.get(name)
    if kind is None:
        raise NasError(f"no kind of operator '{name}'", did_you_mean(name, [*KINDS, *FIXED_KINDS]))
    return kind


def is_active(kind: str, setting: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting of a kind of block has an effect beside the others."""
    condition = KINDS[kind].active_when.get(setting)
    return condition is None or condition.holds(settings[condition.setting])


def active_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a kind of block that have an effect, in their order."""
    return {name: value for name, value in settings.items() if is_active(kind, name, settings)}


def misfit(kind: str, width: int, settings: Mapping[str, Any]) -> str | None:
    """Return why a block of these settings cannot be `width` channels wide; None where it can."""
    return KINDS[kind].misfit(width, settings)
