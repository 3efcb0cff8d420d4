"""Devices that are alike share most of their evaluations; others search for themselves."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nas.errors import NasError
from nas.progress import Console
from nas.run.search_settings import SearchSettings
from nas.space.availability import available
from nas.workflows.requests import SearchRequest
from nas.workflows.search.command import search
from nas.workflows.search.reuse import reused

RUN = Path("runs/tiny")


def search_toy(devices, budget=30, resume=False):
    settings = SearchSettings(budget=budget)
    request = SearchRequest(run=RUN, devices=devices, settings=settings, resume=resume)
    return search(request, Console(quiet=True)).to_json()


def own(found, device):
    return found["sanity"][device]["num_evaluations"] - found["sanity"][device]["num_shared"]


def test_three_devices_of_one_order_cost_little_more_than_one(workspace, write_toy_table):
    for name, scale in (("phone", 10.0), ("watch", 30.0)):
        write_toy_table(workspace, device=name, scale=scale)
    found = search_toy(["cpu", "phone", "watch"])
    assert own(found, "cpu") == 30
    assert own(found, "phone") + own(found, "watch") <= 6
    ids = {device: {row["id"] for row in front} for device, front in found["fronts"].items()}
    assert ids["cpu"] <= {row["id"] for row in rows("phone")}


def test_devices_of_unlike_order_share_less(workspace, write_toy_table):
    write_toy_table(workspace, device="phone", scale=10.0)
    write_toy_table(workspace, device="unlike", seed=8)
    alike, unlike = search_toy(["cpu", "phone"]), search_toy(["cpu", "unlike"])
    assert own(unlike, "unlike") > own(alike, "phone")


def test_a_device_that_took_over_is_resumed_after_the_same_devices_only(workspace, write_toy_table):
    write_toy_table(workspace, device="phone", scale=10.0)
    search_toy(["cpu", "phone"])
    (RUN / "search" / "phone" / "front.json").unlink()
    with pytest.raises(NasError, match="another after"):
        search_toy(["phone"], resume=True)
    assert search_toy(["cpu", "phone"], resume=True)["fronts"]["phone"]


def test_a_device_takes_over_only_what_it_can_run(toy_bits):
    """A table of integer rows beside one without: neither prices what the other's space alone has."""
    floats = available(toy_bits, lambda operator: operator.bits == "fp")

    def table(space):
        return SimpleNamespace(space=space, predict=lambda each: SimpleNamespace(ms=priced(space, each)))

    def priced(space, architecture):
        assert architecture in space
        return float(len(architecture.to_json()))

    rng = np.random.default_rng(0)
    mixed, plain = ([space.sample(rng) for _ in range(20)] for space in (toy_bits, floats))
    found = [
        SimpleNamespace(candidate=each, metrics={"accuracy_share": 1.0}, failed=False) for each in (*mixed, *plain)
    ]
    result = SimpleNamespace(front=found[:3], evaluations=found)
    taken = reused([(table(toy_bits), result)], table(floats), budget=100)
    assert set(plain) <= set(taken)
    assert all(each in floats for each in taken)


def rows(device):
    return [json.loads(line) for line in (RUN / "search" / device / "evaluations.jsonl").read_text().splitlines()]
