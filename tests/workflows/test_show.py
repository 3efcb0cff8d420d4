import json
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.workflows.show import show


def test_a_thing_that_cannot_be_shown_names_the_close_match():
    with pytest.raises(NasError, match="Did you mean 'device'"):
        show("devise", None)


def test_spaces_are_listed_and_described(workspace):
    assert {"toy", "scan-mix-tiny"} <= set(show("space", None)["spaces"])
    shown = show("space", "toy")
    assert shown["size"] == 48
    assert shown["genes"] > 0
    assert shown["presets"].keys() == {"mobilenet", "groupmamba"}
    assert "arXiv 2407.13772" in shown["presets"]["groupmamba"] and "MACs" in shown["presets"]["groupmamba"]
    with pytest.raises(NasError, match="Did you mean 'toy'"):
        show("space", "toi")


def test_devices_are_listed_and_described(workspace):
    assert "cpu" in show("device", None)["devices"]
    shown = show("device", "cpu")
    assert (shown["device"], shown["space"], shown["provenance"]) == ("cpu", "toy", "measured")
    assert shown["measured on this machine"] is True
    assert shown["rows"] == 22
    with pytest.raises(
        NasError, match=r"no latency table for device 'cpx'.*Did you mean 'cpu'.*nas profile --device cpx"
    ):
        show("device", "cpx")


def test_an_architecture_is_shown_by_its_id_or_its_json(finished):
    row = json.loads(Path("runs/tiny/search/cpu/front.json").read_text())["front"][0]
    shown = show("architecture", row["id"])
    assert shown["accuracy"] == row["accuracy"]
    assert shown["architecture"] == json.loads(row["architecture"])
    assert show("architecture", row["architecture"])["id"] == row["id"]
    with pytest.raises(NasError, match="which architecture"):
        show("architecture", None)
    with pytest.raises(NasError, match="not an architecture"):
        show("architecture", "{}")
    with pytest.raises(NasError, match="the front has no 'nosuch'"):
        show("architecture", "nosuch")


def test_a_run_says_what_it_holds(finished):
    assert show("run", None) == {"runs": ["tiny"]}
    shown = show("run", "tiny")
    assert shown == show("run", "runs/tiny")
    assert shown["searches"] == ["cpu"]
    assert len(shown["models"]) == 2
    assert shown["training"]["epoch"] == 2
    with pytest.raises(NasError, match="Runs here: tiny"):
        show("run", "tini")


def test_what_is_shown_is_json(finished):
    for thing, name in (("space", "toy"), ("device", "cpu"), ("device", None), ("run", "tiny")):
        json.dumps(show(thing, name), allow_nan=False)


def test_data_sheets_are_listed_and_shown(workspace):
    listed = show("device", None)["data sheets"]
    assert "also called a100" in listed["a100-sxm4-80gb"] and "jetson-orin" in listed
    shown = show("device", "a100")
    assert (shown["device"], shown["provenance"], shown["measured on this machine"]) == (
        "a100-sxm4-80gb",
        "predicted",
        False,
    )
    assert shown["data sheet"]["bandwidth_gb_s"] == 2039 and "basis" in shown["prediction"]
    bare = show("device", "l4")
    assert "no table yet" in bare["provenance"] and bare["data sheet"]["title"] == "NVIDIA L4 24 GB"
    json.dumps([listed, shown, bare], allow_nan=False)


def test_any_timm_model_is_priced_on_a_device_that_is_not_at_hand(nas, one_json):
    done = nas("show", "device", "a100", "--model", "resnet50", "--batch", 128, "--dtype", "fp16", "--json")
    shown = one_json(done.out)
    assert done.code == 0
    assert (shown["provenance"], shown["num_params"], shown["device"]) == ("predicted", 25_557_032, "a100-sxm4-80gb")
    assert shown["macs"] == pytest.approx(4.09e9, rel=0.01)
    assert shown["latency_low_ms"] < shown["latency_ms"] < shown["latency_high_ms"]
    assert 20 < shown["latency_ms"] < 80
    assert shown["says"].endswith("never measured)")


def test_a_model_that_cannot_be_priced_is_refused(nas):
    asked = {
        ("a100", "--model", "resnet5o"): "timm has no model 'resnet5o'",
        ("a100", "--batch", "8"): "price a model on a device",
        ("cpu", "--model", "resnet18"): "no data sheet of a device 'cpu'",
        ("t4", "--model", "resnet18", "--dtype", "bf16"): "t4 does not compute in bf16",
    }
    for words, expected in asked.items():
        done = nas("show", "device", *words)
        assert (done.code, expected in done.err) == (3, True), done.err
