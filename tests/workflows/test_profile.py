from pathlib import Path

import pytest

from nas.errors import NasError
from nas.hardware.latency_table import LatencyTable
from nas.hardware.profile import Plan
from nas.progress import Talk
from nas.space.search_space import SearchSpace
from nas.workflows.profile import check_is_here, is_trustworthy, profile_device, space_to_measure, table_path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_measured_table_can_be_searched_with(capsys):
    plan = Plan(networks=0, rounds=1, samples=1)
    found = profile_device(
        device="box", space=space_to_measure("toy", "digits", None), plan=plan, resume=False, talk=Talk(quiet=True)
    )
    assert found["rows"] == 22
    assert found["passed"]
    space = SearchSpace.load("toy")
    table = LatencyTable.load("box", space="toy")
    assert found["table"] == str(Path.cwd() / "latency_tables/box/onnxruntime-fp32-b1-t1-toy.json")
    assert table.header["device"] == "box"
    assert 0 < table.predict(space.smallest()).ms < table.predict(space.largest()).ms
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_measured_table_is_validated_on_networks_it_was_not_fitted_to():
    plan = Plan(networks=14)
    found = profile_device(
        device="cpu", space=space_to_measure("toy", None, None), plan=plan, resume=False, talk=Talk(quiet=True)
    )
    assert (found["n"], found["n_fit"]) == (4, 10)
    assert found["mape"] < 0.5
    assert {"kendall_tau", "noise_mape", "macs_mape", "macs_tau"} <= set(found)
    assert "networks" not in found
    assert len(LatencyTable.load("cpu", space="toy").header["validation"]["networks"]) == 14


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
def test_a_table_passes_when_its_error_is_near_the_noise_and_its_order_is_right(figures, passed):
    assert is_trustworthy(figures) is passed


def test_this_machine_is_not_measured_under_the_name_of_a_gpu():
    with pytest.raises(NasError, match="this machine is no h200"):
        check_is_here("h200")
    check_is_here("cpu")
    check_is_here("my-box")


def test_the_default_space_has_the_short_name():
    plan = Plan(batch=8)
    assert table_path("cpu", SearchSpace.load("scan-mix-tiny"), plan).name == "onnxruntime-fp32-b8-t1"
    assert table_path("cpu", SearchSpace.load("toy"), plan).name == "onnxruntime-fp32-b8-t1-toy"
