from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from nas.hardware.measurement.validation import (
    MeasuredNetwork,
    affine_baseline,
    agreement,
    is_trustworthy,
    split,
    validate,
)
from nas.statistics import kendall_tau


def networks(count: int, seed: int = 0, noise: float = 0.01) -> list[MeasuredNetwork]:
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        macs, sum_ms = int(rng.integers(1e5, 1e7)), float(rng.uniform(0.1, 1.0))
        measured, rerun = 1.2 * sum_ms * (1 + noise * rng.standard_normal(2))
        found.append(MeasuredNetwork(f"net{index}", macs, int(rng.integers(5, 9)), sum_ms, measured, rerun))
    return found


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_kendall_tau_agrees_with_scipy_ties_included(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=float).T
    assert kendall_tau(first, second) == pytest.approx(float(kendalltau(first, second).statistic), nan_ok=True)


@given(st.integers(2, 60), st.integers(1, 30))
def test_the_split_has_the_asked_size_and_holds_both_ends(count: int, n_fit: int) -> None:
    fitted = split(count, n_fit)
    assert fitted.sum() == min(count, n_fit)
    assert fitted[0]
    assert n_fit == 1 or fitted[-1]


def test_errors_are_relative_to_the_measurement_and_keep_their_sign() -> None:
    found = agreement(np.array([1.1, 2.0, 2.7]), np.array([1.0, 2.0, 3.0]))
    assert found["mape"] == pytest.approx(0.2 / 3)
    assert found["bias"] == pytest.approx(0.0, abs=1e-12)
    assert found["max"] == pytest.approx(0.1)
    assert found["median_ape"] == pytest.approx(0.1)
    assert found["kendall_tau"] == 1.0


def test_twenty_four_networks_are_ten_to_fit_and_fourteen_to_judge() -> None:
    correction, found = validate(networks(24), n_fit=10)
    assert (found["n_fit"], found["n"], correction.n_fit) == (10, 14, 10)
    assert correction.b == pytest.approx(1.2, rel=0.02)
    assert found["mape"] < 0.03 < found["sum_mape"]
    assert found["noise_mape"] < 0.03
    assert found["macs_mape"] > 0.2  # the MACs of these networks are drawn without regard to their time


def test_networks_that_judge_do_not_touch_the_correction() -> None:
    seen = sorted(networks(24), key=lambda network: network.macs)
    fitted = split(24, 10)
    changed = [
        network if in_fit else MeasuredNetwork(network.id, network.macs, 99, 7.0, 0.001, 5.0)
        for network, in_fit in zip(seen, fitted, strict=True)
    ]
    assert validate(seen, 10)[0] == validate(changed, 10)[0]


def test_each_network_is_reported_once_with_what_was_predicted() -> None:
    seen = networks(24)
    correction, found = validate(seen[::-1], n_fit=10)
    reported = {network["id"]: network for network in found["networks"]}
    assert len(reported) == 24
    for network in seen:
        expected = correction.apply(network.sum_ms, network.num_operators)
        assert reported[network.id]["predicted_ms"] == expected
        assert reported[network.id]["measured_ms"] == network.measured_ms


@given(st.floats(0.01, 1.0), st.floats(1e-8, 1e-6))
def test_the_baseline_is_exact_where_time_is_affine_in_macs(a: float, b: float) -> None:
    macs = np.array([1e5, 4e5, 2e6, 7e6])
    assert affine_baseline(macs, a + b * macs, np.array([1e6])) == pytest.approx([a + b * 1e6])


def test_without_networks_nothing_is_corrected_and_nothing_claimed() -> None:
    correction, found = validate([], n_fit=10)
    assert (correction.form, correction.apply(0.3, 8)) == ("none", 0.3)
    assert "mape" not in found


@pytest.mark.parametrize(
    ("figures", "passed"),
    [
        ({"mape": 0.05, "noise_mape": 0.01, "kendall_tau": 0.95}, True),
        ({"mape": 0.11, "noise_mape": 0.01, "kendall_tau": 0.95}, False),
        ({"mape": 0.11, "noise_mape": 0.06, "kendall_tau": 0.95}, True),
        ({"mape": 0.05, "noise_mape": 0.01, "kendall_tau": 0.80}, False),
        ({"mape": 0.05, "noise_mape": 0.01, "kendall_tau": float("nan")}, False),
    ],
)
def test_a_table_passes_when_its_error_is_near_the_noise_and_its_order_is_right(
    figures: dict[str, float], passed: bool
) -> None:
    assert is_trustworthy(figures) is passed


def test_networks_of_equal_macs_can_be_judged_and_written_down() -> None:
    networks = [MeasuredNetwork(str(i), 100, 3, 1 + i / 10, 1 + i / 10, 1 + i / 10) for i in range(8)]
    found = validate(networks, 3)[1]
    json.dumps(found, allow_nan=False)
    assert found["macs_tau"] == 0.0
