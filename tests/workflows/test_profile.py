from pathlib import Path

import pytest

from nas.errors import NasError
from nas.hardware.device import Device
from nas.hardware.measurement.plan import Plan
from nas.hardware.table.latency_table import LatencyTable
from nas.progress import Console
from nas.space.search_space import SearchSpace
from nas.workflows import profile
from nas.workflows.profile import (
    device_here,
    plan_for,
    profile_device,
    space_to_measure,
    table_path,
)
from nas.workflows.requests import ProfileRequest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_measured_table_can_be_searched_with(capsys):
    plan = Plan(networks=0, rounds=1, samples=1)
    request = ProfileRequest(device=device_here("box"), space=space_to_measure("toy", "digits", None), plan=plan)
    found = profile_device(request, Console(quiet=True))
    assert found["rows"] == 22
    assert found["passed"]
    space = SearchSpace.load("toy")
    table = LatencyTable.load("box", space="toy")
    assert found["table"] == str(Path.cwd() / "latency_tables/box/onnxruntime-fp32-b1-t1-toy.json")
    assert table.header.device == "box"
    assert 0 < table.predict(space.smallest()).ms < table.predict(space.largest()).ms
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_measured_table_is_validated_on_networks_it_was_not_fitted_to():
    plan = Plan(networks=14)
    request = ProfileRequest(device=device_here("cpu"), space=space_to_measure("toy", None, None), plan=plan)
    found = profile_device(request, Console(quiet=True))
    assert (found["n"], found["n_fit"]) == (4, 10)
    assert found["mape"] < 0.5
    assert {"kendall_tau", "noise_mape", "macs_mape", "macs_tau"} <= set(found)
    assert "networks" not in found
    assert len(LatencyTable.load("cpu", space="toy").header.validation["networks"]) == 14


def test_this_machine_is_not_measured_under_the_name_of_a_gpu(monkeypatch):
    monkeypatch.setattr(profile, "this_gpu", lambda: None)
    for name, backend, says in (
        ("h200", None, "this machine is no h200"),
        ("a100", "eager", "this machine is no a100"),
        ("cuda", None, "cuda needs a GPU"),
        ("my-box", "cudagraph", "cudagraph needs a GPU"),
    ):
        with pytest.raises(NasError, match=says):
            device_here(name, backend)
    assert [device_here(name).name for name in ("cpu", "my-box")] == ["cpu", "my-box"]
    assert device_here("my-box", "eager").kind == "cpu"


def test_a_gpu_is_measured_under_its_own_name_only(monkeypatch):
    gpu = Device("h200", "cuda", {"model": "NVIDIA H200"})
    monkeypatch.setattr(profile, "this_gpu", lambda: gpu)
    assert {device_here(name).name for name in ("h200", "h200-sxm", "cuda")} == {"h200"}
    assert device_here("my-gpu", "cudagraph") == Device("my-gpu", "cuda", gpu.fingerprint)
    assert device_here("cpu").kind == "cpu"
    with pytest.raises(NasError, match="its GPU is 'NVIDIA H200'"):
        device_here("a100")
    monkeypatch.setattr(profile, "this_gpu", lambda: Device("l40s", "cuda", {"model": "NVIDIA L40S"}))
    assert device_here("cuda").name == device_here("l40s").name == "l40s"
    assert device_here("l40s").kind == "cuda"


def test_backend_and_dtype_follow_the_kind_of_device():
    gpu = Device("h200", "cuda", {})
    plans = [plan_for(device_here("cpu"), None, None), plan_for(gpu, None, None), plan_for(gpu, "eager", "fp16")]
    assert [(p.backend, p.dtype) for p in plans] == [
        ("onnxruntime", "fp32"), ("cudagraph", "bf16"), ("eager", "fp16")
    ]  # fmt: skip


def test_the_default_space_has_the_short_name_and_a_changed_one_its_hash():
    cpu, gpu, plan = device_here("cpu"), Device("h200", "cuda", {}), Plan(batch=8)
    assert table_path(cpu, SearchSpace.load("scan-mix-tiny"), plan).name == "onnxruntime-fp32-b8-t1"
    assert table_path(cpu, SearchSpace.load("toy"), plan).name == "onnxruntime-fp32-b8-t1-toy"
    other = SearchSpace.load("toy").with_classes(7)
    assert table_path(cpu, other, plan).name == f"onnxruntime-fp32-b8-t1-toy-{other.hash[:8]}"
    graph = Plan(backend="cudagraph", dtype="bf16")
    assert table_path(gpu, SearchSpace.load("toy"), graph).name == "cudagraph-bf16-b1-toy"
