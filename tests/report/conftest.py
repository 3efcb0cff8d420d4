"""A made-up but plausible run, drawn from a seed: what a report looks like when everything has been done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from nas.report import ReportData
from nas.report.audit import Audit, AuditedNetwork, RankFigures
from nas.report.compared_network import ComparedNetwork
from nas.report.content import Documents
from nas.report.search_quality import SearchQuality
from nas.report.table_facts import TableFacts, ValidatedNetwork, Validation
from nas.report.training_epoch import TrainingEpoch
from nas.search.evaluation_row import EvaluationRow, FrontMember, PresetRow
from nas.space.architecture import Architecture, Block, Stage

DIRECTIONS = ("h", "h_flip", "v", "v_flip")
SHARED = ("architecture", "accuracy", "latency_ms", "latency_low_ms", "latency_high_ms", "provenance")
SHARED += ("num_params", "macs", "size_bytes", "bitops", "feasible")


def made_up_block(rng: Random, kind: str) -> Block:
    bits = {"basic": 8, "conv": 4}.get(kind, "fp")
    if kind == "ssd":
        scans = tuple(rng.sample(DIRECTIONS, rng.choice((1, 2, 4))))
        return Block.of(kind, bits, directions=scans, mode="group", heads=4, state=8, expansion=1)
    if kind == "basic":
        return Block.of(kind, bits, kernel=3)
    return Block.of(kind, bits, kernel=rng.choice((3, 5)), expansion=rng.choice((1, 2, 3)))


def made_up_evaluation(rng: Random) -> EvaluationRow:
    kinds = ("basic", "conv", "gated-conv", "ssd", "attention")
    stages = tuple(
        Stage(width, tuple(made_up_block(rng, rng.choice(kinds)) for _ in range(rng.randint(1, 3))))
        for width in (rng.choice((8, 16)), rng.choice((16, 32)), rng.choice((32, 64, 128)))
    )
    latency_ms = 0.12 * 1.5 ** rng.uniform(0, 7)
    quality = 0.97 - 0.03 / latency_ms**0.7 - abs(rng.gauss(0, 0.03)) - 0.004 * rng.random()
    return EvaluationRow(
        architecture=Architecture(32, stages, "double-conv"),
        accuracy=round(2000 * quality) / 2000,
        latency_ms=latency_ms,
        latency_low_ms=0.93 * latency_ms,
        latency_high_ms=1.07 * latency_ms,
        provenance="measured",
        num_params=int(60_000 * latency_ms),
        macs=int(9e6 * latency_ms),
        size_bytes=int(240_000 * latency_ms),
        bitops=10_000_000_000,
        feasible=latency_ms <= 1.5,
    )


def figures_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SHARED}


def front_of(evaluations: Sequence[EvaluationRow]) -> tuple[FrontMember, ...]:
    front: list[FrontMember] = []
    for row in sorted((row for row in evaluations if row.feasible), key=lambda row: row.latency_ms):
        if not front or row.accuracy > front[-1].accuracy:
            front.append(FrontMember(**figures_of(row)))
    return tuple(front)


def preset_of(row: Any, name: str, source: str, **changes: Any) -> PresetRow:
    return replace(PresetRow(name=name, source=source, **figures_of(row)), **changes)


def trained(name: str, kind: str, accuracy: float, latency_ms: float, **more: Any) -> ComparedNetwork:
    network = ComparedNetwork(
        name=name,
        kind=kind,
        id=name,
        accuracy=accuracy,
        latency_ms=latency_ms,
        num_params=4_900_000,
        macs=25_000_000,
        epochs=20,
        images=240_000,
        recipe="adamw-cosine",
        source="trained here",
        provenance="measured",
    )
    return replace(network, **more)


def made_up_validation(rng: Random) -> Validation:
    networks = []
    for number in range(24):
        measured_ms = 0.15 * 1.3 ** rng.uniform(0, 9)
        networks.append(
            ValidatedNetwork(
                id=f"net{number:02d}",
                measured_ms=measured_ms,
                predicted_ms=measured_ms * (1 + rng.gauss(0, 0.05)),
                split="fit" if number < 10 else "held-out",
            )
        )
    figures = {"mape": 0.041, "bias": 0.006, "p90": 0.083, "kendall_tau": 0.94, "noise_mape": 0.018}
    return Validation(**figures, macs_mape=0.21, macs_tau=0.71, n=14, networks=tuple(networks))


def rank_figures(kendall_tau: float) -> RankFigures:
    return RankFigures(
        kendall_tau=kendall_tau, low=0.42, high=0.9, spearman=0.86, spearman_low=0.6, spearman_high=0.97, n=12
    )


def made_up_audit(rows: Sequence[EvaluationRow], rng: Random) -> Audit:
    networks = tuple(
        AuditedNetwork(
            id=row.id,
            preset="vim" if number == 3 else None,
            inherited=row.accuracy,
            standalone=row.accuracy + 0.02 + rng.gauss(0, 0.005),
            macs=row.macs,
            latency_ms=row.latency_ms,
        )
        for number, row in enumerate(rows[:12])
    )
    return Audit(
        ranking=rank_figures(0.71),
        mean_gap=0.02,
        networks=networks,
        epochs=5,
        ceiling=rank_figures(0.88),
        macs=rank_figures(0.66),
    )


def made_up_report(seed: int = 0, evaluations: int = 300) -> ReportData:
    rng = Random(seed)
    rows = [made_up_evaluation(rng) for _ in range(evaluations)]
    front = front_of(rows)
    best, knee = front[-1], front[len(front) // 2]
    compare = (
        trained(best.id, "searched", 0.9782, 1.06 * best.latency_ms, num_params=best.num_params, macs=best.macs),
        trained(knee.id, "searched", 0.9690, 1.02 * knee.latency_ms, num_params=knee.num_params, macs=knee.macs),
        trained("resnet10t", "hand-designed", 0.9641, 1.92),
        trained("mambaout_femto", "hand-designed", 0.9585, 2.84),
        trained("mobilenetv3_small_050", "hand-designed", 0.9120, 0.61),
    )
    training = tuple(
        TrainingEpoch(
            epoch=epoch,
            loss=2.2 * 0.85**epoch + 0.2,
            accuracy_largest=0.96 - 0.8 * 0.75**epoch,
            accuracy_smallest=0.88 - 0.75 * 0.8**epoch,
            accuracy_random=0.94 - 0.8 * 0.77**epoch,
            seconds=11.2,
            images=12_000,
        )
        for epoch in range(1, 25)
    )
    slow, fast = front[-1], front[0]
    presets = (
        # beaten by the search; on the front; more accurate than all of the front, but over the limit
        preset_of(
            slow,
            "vmamba",
            "VMamba",
            architecture=replace(slow.architecture, stem="conv"),
            latency_ms=1.3 * slow.latency_ms,
        ),
        preset_of(fast, "mambaout", "MambaOut"),
        preset_of(
            slow,
            "vim",
            "Vim",
            architecture=replace(slow.architecture, stem="patch-4"),
            accuracy=0.999,
            latency_ms=1.9,
            feasible=False,
        ),
    )
    return ReportData(
        title="scan-mix-tiny on cluttered-digits",
        command="nas search --device cpu --max-latency 1.5ms --space scan-mix-tiny --budget 300 --seed 0",
        device="cpu",
        backend="onnxruntime",
        max_latency_ms=1.5,
        evaluations=tuple(rows),
        front=front,
        presets=presets,
        hypervolume=tuple((count, 1.2 * (1 - 0.5 ** (count / 40))) for count in range(20, evaluations + 1, 20)),
        quality=SearchQuality(
            hypervolume=1.2,
            baselines={"random": 1.0, "local": 1.1},
            baseline_history={
                "random": ((20, 0.4), (evaluations, 1.0)),
                "local": ((20, 0.4), (evaluations, 1.1)),
            },
            num_evaluations=evaluations,
            num_shared=0,
            num_wasted=40,
            order_right=0.875,
            saved_share=0.31,
        ),
        compare=compare,
        table=TableFacts(
            device="cpu",
            backend="onnxruntime",
            dtype="fp32",
            batch=1,
            provenance="measured",
            date="2026-11-02T10:00:00",
            validation=made_up_validation(rng),
        ),
        training=training,
        audit=made_up_audit(rows, rng),
        documents=Documents(
            manifest={"seed": 0, "space": "scan-mix-tiny", "versions": {"scan-nas": "0.1.0", "torch": "2.15.0"}}
        ),
    )


@pytest.fixture(scope="session")
def complete() -> ReportData:
    """A run in which everything was done."""
    return made_up_report()


@pytest.fixture(scope="session")
def two_devices(complete: ReportData) -> ReportData:
    """A run that was searched for another device as well."""
    other = replace(made_up_report(seed=1), device="a100", compare=(), audit=None, training=(), warnings=("predicted",))
    return replace(complete, others=(other,), warnings=("the fan was loud",))


@pytest.fixture(scope="session")
def empty() -> ReportData:
    """A run in which nothing has been done yet."""
    return ReportData(title="empty", command="nas report", device="cpu", backend="onnxruntime", max_latency_ms=5.0)
