from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nas.hardware.measurement.profile as profile_module
from nas.errors import NasError
from nas.hardware.device import this_machine
from nas.hardware.gpu import this_gpu
from nas.hardware.measurement.plan import Plan
from nas.hardware.measurement.profile import has_room, in_frame, needed_for, profile, validation_networks
from nas.hardware.measurement.protocol import Measurement
from nas.hardware.measurement.rows import row_of
from nas.hardware.table.latency_table import LatencyTable
from nas.nn.subnet import build_operator
from nas.space.cost import architecture_cost, macs
from nas.space.kinds import KINDS
from nas.space.operator import Operator
from nas.space.search_space import SearchSpace
from nas.space.stage_space import StageSpace

QUICK = Plan(backend="eager", networks=5, n_fit=3, rounds=2, samples=4)


class Killed(Exception):
    """Stands for the signal that ends a measurement."""


def journal_of(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.partial.jsonl")


def test_onnxruntime_measures_every_operator_and_judges_the_sum(toy: SearchSpace, tmp_path: Path) -> None:
    plan = Plan(networks=5, n_fit=3, rounds=2, samples=4)
    table = profile(toy, this_machine(), plan, tmp_path / "a")
    assert set(table.rows) == {operator.key for operator in toy.operators()}
    assert all(row.provenance == "measured" and row.n_samples >= 4 and row.n_rounds >= 2 for row in table.rows.values())
    assert {operator.key: macs(operator) for operator in toy.operators()} == {
        key: row.macs for key, row in table.rows.items()
    }
    validation = table.header.validation
    assert (validation["n_fit"], validation["n"], len(validation["networks"])) == (3, 2, 5)
    for network in validation["networks"]:  # a unit or a factor wrong anywhere would be far outside
        assert 0.3 < network["predicted_ms"] / network["measured_ms"] < 3
    assert {"mape", "kendall_tau", "noise_mape", "noise_tau", "macs_mape", "macs_tau"} <= set(validation)
    assert table.header.sigma_sys >= validation["noise_mape"]
    assert table.predict(toy.largest()).provenance == "measured"
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["a.csv", "a.json"]


def test_the_header_says_how_it_was_measured(toy: SearchSpace, tmp_path: Path) -> None:
    header = profile(toy, this_machine(), QUICK, tmp_path / "a").header
    assert (header.device, header.backend, header.dtype, header.batch) == ("cpu", "eager", "fp32", 1)
    assert (header.space, header.space_hash, header.evidence["resolutions"]) == ("toy", toy.hash, list(toy.resolutions))
    assert header.fingerprint == this_machine().fingerprint
    assert header.evidence["versions"]["torch"] == torch.__version__
    assert header.evidence["protocol"]["statistic"] == "min"
    assert len(header.evidence["load_start"]) == len(header.evidence["load_end"]) == 3
    assert header.evidence["date"].endswith("+00:00")
    assert SearchSpace.from_dict(header.space_definition) == toy


@pytest.mark.parametrize("steps", [3, 30, 60, 75])
def test_a_killed_measurement_goes_on_where_it_stopped(steps: int, toy: SearchSpace, tmp_path: Path) -> None:
    left = iter(range(steps))

    def kill(what: str, done: int, total: int) -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        profile(toy, this_machine(), QUICK, tmp_path / "a", progress=kill)
    kept = journal_of(tmp_path / "a").read_text().splitlines()
    assert not (tmp_path / "a.csv").exists()
    assert not (tmp_path / "a.json").exists()
    with pytest.raises(Killed):  # resumed, and killed again at once: nothing of the first run is lost
        profile(toy, this_machine(), QUICK, tmp_path / "a", progress=kill, resume=True)
    assert journal_of(tmp_path / "a").read_text().splitlines()[: len(kept)] == kept
    table = profile(toy, this_machine(), QUICK, tmp_path / "a", resume=True)
    assert set(table.rows) == {operator.key for operator in toy.operators()}
    assert not journal_of(tmp_path / "a").exists()


def test_resuming_measures_only_what_is_missing(toy: SearchSpace, tmp_path: Path) -> None:
    def kill_at_the_end(what: str, done: int, total: int) -> None:
        if what == "networks again" and done == total:
            raise Killed

    built: list[Operator] = []

    def build(operator: Operator) -> nn.Module:
        built.append(operator)
        return build_operator(operator)

    with pytest.raises(Killed):
        profile(toy, this_machine(), QUICK, tmp_path / "a", progress=kill_at_the_end, build=build)
    assert set(built) == set(toy.operators())
    seen = [json.loads(line) for line in journal_of(tmp_path / "a").read_text().splitlines()[1:]]
    built.clear()
    table = profile(toy, this_machine(), QUICK, tmp_path / "a", resume=True, build=build)
    assert built == []
    null = min(ms for visit in seen if visit["name"] == "null" for ms in visit["samples_ms"])
    assert table.header.null_ms == null


def test_a_space_that_changed_meanwhile_does_not_resume(toy: SearchSpace, tmp_path: Path) -> None:
    def kill(what: str, done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        profile(toy, this_machine(), QUICK, tmp_path / "a", progress=kill)
    with pytest.raises(NasError, match="space_hash"):
        profile(toy.with_classes(7), this_machine(), QUICK, tmp_path / "a", resume=True)


def test_a_row_is_what_a_block_adds_to_its_frame(toy: SearchSpace) -> None:
    block = next(operator for operator in toy.operators() if operator.kind == "conv")
    stem = next(operator for operator in toy.operators() if operator.kind == "stem")
    times = {"null": 1.0, f"frame {block.in_channels} {block.grid}": 5.0, block.key: 7.0, stem.key: 4.0}
    seen = {name: Measurement(ms, ms * 1.1, ms * 1.3, 21, 3, 0.05, 0.02, ms) for name, ms in times.items()}
    assert row_of(block, needed_for(block), seen, 1).ms == pytest.approx(7.0 - 5.0)
    assert row_of(stem, needed_for(stem), seen, 1).ms == pytest.approx(4.0 - 1.0)
    assert row_of(block, needed_for(block), seen, 8).macs == 8 * macs(block)
    assert row_of(block, needed_for(block), seen, 1).sigma_rel == pytest.approx(0.02 * np.hypot(7.0, 5.0) / 2.0)


def test_a_frame_holds_the_block_between_two_convolutions() -> None:
    found = in_frame(8, nn.ReLU)
    assert [type(part) for part in found] == [nn.Conv2d, nn.ReLU, nn.Conv2d]
    assert found(torch.zeros(1, 8, 4, 4)).shape == (1, 8, 4, 4)


def test_progress_ends_at_its_total_and_never_goes_back(toy: SearchSpace, tmp_path: Path) -> None:
    steps: dict[str, list[tuple[int, int]]] = {}

    def note(what: str, done: int, total: int) -> None:
        steps.setdefault(what, []).append((done, total))

    profile(toy, this_machine(), QUICK, tmp_path / "a", progress=note)
    assert len(steps) == 2
    for seen in steps.values():
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1]


def test_profiling_leaves_the_random_state_and_the_threads_as_they_were(toy: SearchSpace, tmp_path: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    profile(toy, this_machine(), Plan(backend="eager", networks=0, rounds=1, samples=1), tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_without_networks_the_sum_stands_uncorrected_and_its_uncertainty_is_wide(
    toy: SearchSpace, tmp_path: Path
) -> None:
    plan = Plan(backend="eager", networks=0, rounds=1, samples=1)
    table = profile(toy, this_machine(), plan, tmp_path / "a")
    assert table.header.correction.form == "none"
    assert table.header.sigma_sys == 0.15
    assert LatencyTable.load(tmp_path / "a.csv").rows == table.rows


def test_networks_span_the_space_and_are_the_same_for_the_same_seed() -> None:
    space = SearchSpace.load("scan-mix-tiny")
    found = validation_networks(space, 24, np.random.default_rng(3))
    assert len(set(found)) == 24
    assert found == validation_networks(space, 24, np.random.default_rng(3))
    assert {space.smallest(), space.largest()} <= set(found)
    assert all(network in space for network in found)
    costs = sorted(architecture_cost(network, 10).macs for network in found)
    assert costs[-1] > 5 * costs[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"backend": "onnxruntme"},
        {"dtype": "bf16"},
        {"backend": "cudagraph", "dtype": "bf16"},
        {"threads": 2},
        {"rounds": 0},
        {"networks": 11},
        {"sample": -1},
    ],
)
def test_a_plan_that_cannot_be_measured_is_refused_and_nothing_is_written(
    wrong: dict, toy: SearchSpace, tmp_path: Path
) -> None:
    with pytest.raises(NasError):
        profile(toy, this_machine(), Plan(**wrong), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_block_can_be_profiled(kind: str, operator_of: Callable[..., Operator], tmp_path: Path) -> None:
    op = operator_of(kind, 16, 2)
    stage = StageSpace((16,), (1,), {kind: {name: (value,) for name, value in op.settings}})
    space = SearchSpace("one", 10, (4,), (stage,))
    plan = Plan(networks=0, n_fit=0, rounds=2, samples=4)
    table = profile(space, this_machine(), plan, tmp_path / "a")
    assert table.rows[op.key].ms > 0 and table.rows[op.key].macs == macs(op)


def test_what_does_not_fit_into_memory_is_prepared_again_in_every_round(
    toy: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Operator] = []

    def build(operator: Operator) -> nn.Module:
        built.append(operator)
        return build_operator(operator)

    monkeypatch.setattr(profile_module, "resident_gb", lambda: 1e9)
    plan = Plan(backend="eager", networks=0, rounds=2, samples=2)
    table = profile(toy, this_machine(), plan, tmp_path / "a", build=build)
    assert len(built) >= 2 * len(toy.operators())
    assert set(table.rows) == {operator.key for operator in toy.operators()}


def test_a_sample_is_measured_and_the_rest_interpolated_and_said_to_be_so(tmp_path: Path) -> None:
    space = SearchSpace.load("scan-mix-tiny")
    made = {operator.key: 0.01 * operator.in_channels * operator.grid**1.5 for operator in space.operators()}
    moment = [0.0]

    class Sleeper(nn.Module):
        def __init__(self, ms: float) -> None:
            super().__init__()
            self.ms = ms

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            moment[0] += self.ms / 1e3
            return x

    plan = Plan(backend="eager", networks=0, rounds=2, samples=2, sample=150)
    table = profile(
        space, this_machine(), plan, tmp_path / "a", build=lambda op: Sleeper(made[op.key]), clock=lambda: moment[0]
    )
    origin = {key: row.provenance for key, row in table.rows.items()}
    assert set(origin) == set(made)
    assert 100 < list(origin.values()).count("measured") < 200
    assert table.header.provenance == "interpolated"
    assert table.header.evidence["interpolation"]["kinds"]["ssd"]["mape"] < 0.02
    for key, row in table.rows.items():
        assert row.ms == pytest.approx(made[key], rel=1e-3 if origin[key] == "measured" else 0.1)
    drawn = [space.sample(np.random.default_rng(seed)) for seed in range(5)]
    assert "interpolated" in {table.predict(architecture).provenance for architecture in drawn}


def test_calls_are_kept_as_long_as_half_of_the_gpu_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "resident_gb", lambda: 1.0)
    for left in (0.9, 0.1):
        monkeypatch.setattr(profile_module, "gpu_share_left", lambda left=left: left)
        assert has_room("cuda") is (left > 0.5)
        assert has_room("cpu")


def test_a_space_of_too_few_networks_to_hold_any_out_has_a_wide_uncertainty(tmp_path: Path) -> None:
    stage = StageSpace(widths=(8,), depths=(1, 2), kinds={"conv": {"kernel": (3,), "expansion": (1,)}})
    space = SearchSpace(name="few", num_classes=4, resolutions=(16,), stages=(stage,))
    table = profile(space, this_machine(), QUICK, tmp_path / "a")
    assert table.header.sigma_sys == profile_module.UNVALIDATED_SIGMA
    assert "trustworthy" not in table.header.validation


@pytest.mark.gpu
def test_a_gpu_is_profiled_in_cuda_graphs(toy: SearchSpace, tmp_path: Path) -> None:
    gpu = this_gpu()
    if gpu is None:
        pytest.skip("no CUDA device")
    plan = Plan(backend="cudagraph", dtype="bf16", networks=5, n_fit=3, rounds=2, samples=4)
    table = profile(toy, gpu, plan, tmp_path / "a")
    assert set(table.rows) == {operator.key for operator in toy.operators()}
    for network in table.header.validation["networks"]:
        assert 0.3 < network["predicted_ms"] / network["measured_ms"] < 3
