import pytest

from nas.hardware.table.latency_table import Latency
from nas.workflows.compare.comparison_table import (
    Entry,
    Origin,
    SeedAccuracies,
    Size,
    TrainingFacts,
    comparison_table,
)


def entry(name, kind, accuracy, latency_ms):
    return Entry(
        id=name,
        origin=Origin(name=name, kind=kind, source="made up"),
        size=Size(num_params=1000, macs=1000, resolution=32),
        training=TrainingFacts(epochs=1, images=24000, recipe="plain"),
        seeds=[SeedAccuracies(test=accuracy + shift, validation=accuracy) for shift in (-0.001, 0.001)],
        latency=Latency(latency_ms, latency_ms, latency_ms, "measured"),
    )


def compared(num_classes=10, **models):
    entries = [entry("fast", "searched", 0.8, 0.1), entry("good", "searched", 0.9, 0.4)]
    entries += [entry(name, "hand-designed", *figures) for name, figures in models.items()]
    return {network.id: network for network in comparison_table(entries, "cpu", num_classes)}


def test_a_model_is_set_against_the_curve_of_the_searched_ones():
    model = compared(model=(0.8, 0.8))["model"]
    assert model.counterpart == "good" and model.verdict.startswith("dominates model")
    assert model.error_ratio == pytest.approx(0.1 / 0.2) and model.speed_up == pytest.approx(8)


def test_a_model_that_learnt_nothing_has_no_counterpart_and_makes_no_ratio():
    networks = compared(idle=(0.101, 0.8), poor=(0.16, 0.8))
    idle = networks["idle"]
    assert "idle has learnt nothing in 24,000 images (10.1%)" in idle.verdict and idle.has_learnt_nothing
    assert idle.counterpart is idle.error_ratio is idle.speed_up is None
    assert networks["poor"].counterpart == "good"
    assert compared(num_classes=100, idle=(0.101, 0.8))["idle"].counterpart == "good"


def test_a_searched_network_is_set_against_nothing_and_the_lines_are_in_order():
    networks = list(compared(model=(0.8, 0.8)).values())
    assert [network.id for network in networks] == ["model", "fast", "good"]
    assert all(network.verdict is network.counterpart is None for network in networks[1:])
