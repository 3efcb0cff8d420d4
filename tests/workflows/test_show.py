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
