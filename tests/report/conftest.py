"""A made-up but plausible run, drawn from a seed: what a report looks like when everything has been done."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from nas.report import ReportData

DIRECTIONS = ("h", "h_flip", "v", "v_flip")


def made_up_block(rng: Random, kind: str) -> dict[str, Any]:
    return float_block(rng, kind) | {"bits": {"basic": 8, "conv": 4}.get(kind, "fp")}


def float_block(rng: Random, kind: str) -> dict[str, Any]:
    if kind == "ssd":
        scans = rng.sample(DIRECTIONS, rng.choice((1, 2, 4)))
        return {
            "kind": kind,
            "directions": scans,
            "mode": "group",
            "heads": 4,
            "state": 8,
            "expansion": 1,
            "bits": "fp",
        }
    if kind == "basic":
        return {"kind": kind, "kernel": 3, "bits": "fp"}
    return {"kind": kind, "kernel": rng.choice((3, 5)), "expansion": rng.choice((1, 2, 3)), "bits": "fp"}


def made_up_evaluation(rng: Random, number: int) -> dict[str, Any]:
    kinds = ("basic", "conv", "gated-conv", "ssd", "attention")
    stages = [
        {"width": width, "blocks": [made_up_block(rng, rng.choice(kinds)) for _ in range(rng.randint(1, 3))]}
        for width in (rng.choice((8, 16)), rng.choice((16, 32)), rng.choice((32, 64, 128)))
    ]
    latency_ms = 0.12 * 1.5 ** rng.uniform(0, 7)
    quality = 0.97 - 0.03 / latency_ms**0.7 - abs(rng.gauss(0, 0.03)) - 0.004 * rng.random()
    return {
        "id": f"{number:010x}",
        "accuracy": round(2000 * quality) / 2000,
        "latency_ms": latency_ms,
        "latency_low_ms": 0.93 * latency_ms,
        "latency_high_ms": 1.07 * latency_ms,
        "latency_measured_ms": None,
        "provenance": "measured",
        "num_params": int(60_000 * latency_ms),
        "macs": int(9e6 * latency_ms),
        "size_bytes": int(240_000 * latency_ms),
        "bitops": 1e10,
        "resolution": 32,
        "feasible": latency_ms <= 1.5,
        "architecture": {"resolution": 32, "stem": "double-conv", "stages": stages},
    }


def front_of(evaluations: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    front: list[dict[str, Any]] = []
    for row in sorted((row for row in evaluations if row["feasible"]), key=lambda row: row["latency_ms"]):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return tuple(front)


def trained(name: str, kind: str, accuracy: float, latency_ms: float, **more: Any) -> dict[str, Any]:
    row = {"name": name, "kind": kind, "id": name, "accuracy": accuracy, "accuracy_std": None, "latency_ms": latency_ms}
    row |= {"num_params": 4_900_000, "macs": 25e6, "epochs": 20, "images": 240_000, "recipe": "adamw-cosine"}
    return row | {"source": "trained here", "inherited_accuracy": None} | more


def made_up_validation(rng: Random) -> dict[str, Any]:
    networks = []
    for number in range(24):
        measured_ms = 0.15 * 1.3 ** rng.uniform(0, 9)
        networks.append(
            {
                "id": f"net{number:02d}",
                "measured_ms": measured_ms,
                "predicted_ms": measured_ms * (1 + rng.gauss(0, 0.05)),
                "split": "fit" if number < 10 else "held-out",
            }
        )
    figures = {"mape": 0.041, "bias": 0.006, "p90": 0.083, "kendall_tau": 0.94, "noise_mape": 0.018}
    return figures | {"macs_mape": 0.21, "macs_tau": 0.71, "n": 14, "networks": networks}


def made_up_audit(rows: list[dict[str, Any]], rng: Random) -> dict[str, Any]:
    networks = [
        {"id": row["id"], "preset": "vim" if number == 3 else None, "inherited": row["accuracy"]}
        | {"alone": row["accuracy"] + 0.02 + rng.gauss(0, 0.005), "macs": row["macs"], "latency_ms": row["latency_ms"]}
        for number, row in enumerate(rows[:12])
    ]
    figures = {"kendall_tau": 0.71, "low": 0.42, "high": 0.9, "spearman": 0.86, "n": 12, "mean_gap": 0.02}
    figures |= {
        "spearman_low": 0.6,
        "spearman_high": 0.97,
        "ceiling": {"kendall_tau": 0.88},
        "macs": {"kendall_tau": 0.66},
    }
    return {"ranking": figures, "networks": networks, "epochs": 5}


def made_up_report(seed: int = 0, evaluations: int = 300) -> ReportData:
    rng = Random(seed)
    rows = [made_up_evaluation(rng, 0x3FA9C01B00 + 7919 * number) for number in range(evaluations)]
    front = front_of(rows)
    best, knee = front[-1], front[len(front) // 2]
    compare = (
        trained(
            best["id"], "searched", 0.9782, 1.06 * best["latency_ms"], num_params=best["num_params"], macs=best["macs"]
        ),
        trained(
            knee["id"], "searched", 0.9690, 1.02 * knee["latency_ms"], num_params=knee["num_params"], macs=knee["macs"]
        ),
        trained("resnet10t", "hand-designed", 0.9641, 1.92),
        trained("mambaout_femto", "hand-designed", 0.9585, 2.84),
        trained("mobilenetv3_small_050", "hand-designed", 0.9120, 0.61),
    )
    training = tuple(
        {
            "epoch": epoch,
            "loss": 2.2 * 0.85**epoch + 0.2,
            "accuracy_largest": 0.96 - 0.8 * 0.75**epoch,
            "accuracy_smallest": 0.88 - 0.75 * 0.8**epoch,
            "accuracy_random": 0.94 - 0.8 * 0.77**epoch,
            "seconds": 11.2,
            "images": 12_000,
        }
        for epoch in range(1, 25)
    )
    slow, fast = front[-1], front[0]
    presets = (
        # beaten by the search; on the front; more accurate than all of the front, but over the limit
        slow | {"name": "vmamba", "source": "VMamba", "id": "p1", "latency_ms": 1.3 * slow["latency_ms"]},
        fast | {"name": "mambaout", "source": "MambaOut"},
        slow | {"name": "vim", "source": "Vim", "id": "p3", "accuracy": 0.999, "latency_ms": 1.9, "feasible": False},
    )
    return ReportData(
        title="scan-mix-tiny on cluttered-digits",
        command="nas search --device cpu --max-latency 1.5ms --space scan-mix-tiny --budget 300 --seed 0",
        manifest={"seed": 0, "space": "scan-mix-tiny", "versions": {"scan-nas": "0.1.0", "torch": "2.15.0"}},
        device="cpu",
        backend="onnxruntime",
        max_latency_ms=1.5,
        evaluations=tuple(rows),
        front=front,
        presets=presets,
        hypervolume=tuple((count, 1.2 * (1 - 0.5 ** (count / 40))) for count in range(20, evaluations + 1, 20)),
        sanity={
            "hypervolume": 1.2,
            "control": {"random": 1.0, "local": 1.1},
            "control_history": {"random": [[20, 0.4], [evaluations, 1.0]], "local": [[20, 0.4], [evaluations, 1.1]]},
            "num_evaluations": evaluations,
            "num_shared": 0,
            "num_wasted": 40,
            "order_right": 0.875,
            "saved_share": 0.31,
        },
        compare=compare,
        table={"device": "cpu", "validation": made_up_validation(rng)},
        training=training,
        audit=made_up_audit(rows, rng),
    )


@pytest.fixture(scope="session")
def complete() -> ReportData:
    """A run in which everything was done."""
    return made_up_report()


@pytest.fixture(scope="session")
def two_devices(complete: ReportData) -> ReportData:
    """A run that was searched for another device as well."""
    other = replace(made_up_report(seed=1), device="a100", compare=(), audit={}, training=(), warnings=("predicted",))
    return replace(complete, others=(other,), warnings=("the fan was loud",))


@pytest.fixture(scope="session")
def empty() -> ReportData:
    """A run in which nothing has been done yet."""
    return ReportData(
        title="empty", command="nas report", manifest={}, device="cpu", backend="onnxruntime", max_latency_ms=5.0
    )
