import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.workflows.show import SHOWN, age, show

NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)  # the toy table is of the first of January


def test_a_thing_that_cannot_be_shown_names_the_close_match():
    with pytest.raises(NasError, match="Did you mean 'device'"):
        show("devise", None, now=NOW)


def test_spaces_are_listed_and_described(workspace):
    assert {"toy", "scan-mix-tiny"} <= set(show("space", None, now=NOW)["spaces"])
    shown = show("space", "toy", now=NOW)
    assert shown["size"] == 48
    assert shown["genes"] > 0
    assert shown["presets"].keys() == {"mobilenet", "groupmamba"}
    assert "arXiv 2407.13772" in shown["presets"]["groupmamba"] and "MACs" in shown["presets"]["groupmamba"]
    with pytest.raises(NasError, match="Did you mean 'toy'"):
        show("space", "toi", now=NOW)


def test_devices_are_listed_and_described(workspace):
    assert "cpu" in show("device", None, now=NOW)["devices"]
    shown = show("device", "cpu", now=NOW)
    assert "measured 2026-01-01, 3 days old" in shown["all tables"][0]
    assert (shown["device"], shown["space"], shown["provenance"]) == ("cpu", "toy", "measured")
    assert shown["measured on this machine"] is True
    assert shown["rows"] == 22
    with pytest.raises(
        NasError, match=r"no latency table for device 'cpx'.*Did you mean 'cpu'.*nas profile --device cpx"
    ):
        show("device", "cpx", now=NOW)


def test_an_architecture_is_shown_by_its_id_or_its_json(finished):
    row = json.loads(Path("runs/tiny/search/cpu/front.json").read_text())["front"][0]
    shown = show("architecture", row["id"], now=NOW)
    assert shown["accuracy"] == row["accuracy"]
    assert shown["architecture"] == json.loads(row["architecture"])
    assert show("architecture", row["architecture"], now=NOW)["id"] == row["id"]
    with pytest.raises(NasError, match="which architecture"):
        show("architecture", None, now=NOW)
    with pytest.raises(NasError, match="not an architecture"):
        show("architecture", "{}", now=NOW)
    with pytest.raises(NasError, match="the front has no 'nosuch'"):
        show("architecture", "nosuch", now=NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "convv"}, "no kind of block 'convv'. Did you mean 'conv'"),
        ({"kernel": 4}, "kernel 4 of a conv block. It must be an odd"),
        ({"kernel": None}, "a conv block has no kernel"),
        ({"kernal": 3}, "no setting 'kernal'. Did you mean 'kernel'"),
    ],
)
def test_an_architecture_that_cannot_be_built_says_what_is_wrong_with_it(workspace, change, said):
    block = {"kind": "conv", "kernel": 3, "expansion": 2, "bits": "fp"} | change
    block = {name: value for name, value in block.items() if value is not None}
    text = json.dumps({"resolution": 16, "stages": [{"width": 8, "blocks": [block]}]})
    with pytest.raises(NasError, match=f"stage 1 of this architecture: .*{said}"):
        show("architecture", text, now=NOW)


def test_everything_there_is_is_listed_at_once(finished):
    everything = show(None, None, now=NOW)
    parts = [show(thing, None, now=NOW) for thing in ("space", "device", "run")]
    assert everything == parts[0] | parts[1] | parts[2]
    assert {"spaces", "devices", "runs"} <= set(everything)
    assert SHOWN.keys() == {"space", "device", "run", "architecture"}


@pytest.mark.parametrize(("hours", "said"), [(0, "today"), (23, "today"), (25, "1 day old"), (49, "2 days old")])
def test_an_age_is_told_in_days(hours, said):
    assert age((NOW - timedelta(hours=hours)).isoformat(), NOW) == said
    assert age((NOW - timedelta(hours=hours)).replace(tzinfo=None).isoformat(), NOW) == said


def test_a_run_says_what_it_holds(finished):
    line = show("run", None, now=NOW)["runs"]["tiny"]
    assert line == "toy on digits, 2026-01-01 00:00; 2 epochs; searched for cpu"
    shown = show("run", "tiny", now=NOW)
    assert shown == show("run", "runs/tiny", now=NOW)
    assert shown["searches"] == ["cpu"]
    assert len(shown["models"]) == 2
    assert shown["training"]["epoch"] == 2
    with pytest.raises(NasError, match="Runs here: tiny"):
        show("run", "tini", now=NOW)


def test_what_is_shown_is_json(finished):
    for thing, name in (("space", "toy"), ("device", "cpu"), ("device", None), ("run", "tiny")):
        json.dumps(show(thing, name, now=NOW), allow_nan=False)


def test_data_sheets_are_listed_and_shown(workspace):
    listed = show("device", None, now=NOW)["data sheets"]
    assert "also called a100" in listed["a100-sxm4-80gb"] and "jetson-orin" in listed
    shown = show("device", "a100", now=NOW)
    assert (shown["device"], shown["provenance"], shown["measured on this machine"]) == (
        "a100-sxm4-80gb",
        "predicted",
        False,
    )
    assert shown["data sheet"]["bandwidth_gb_s"] == 2039 and "basis" in shown["prediction"]
    bare = show("device", "l4", now=NOW)
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
