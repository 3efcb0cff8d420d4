"""The examples of docs/extending.md do what the page says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nas as package
from nas.errors import NasError
from nas.export.kernels import promised_kernels
from nas.hardware.backends.registry import BACKENDS, check_backend
from nas.hardware.backends.session import Setting
from nas.hardware.measurement.integer import status_of
from nas.nn.blocks import BLOCKS
from nas.search.algorithms import ALGORITHMS
from nas.space.architecture import Block, Stage
from nas.space.block_checks import check_blocks
from nas.space.cost import architecture_cost
from nas.space.kinds import KINDS
from nas.space.operator import operators, place
from nas.space.scan import SCANS, scan_names, scan_order
from nas.space.search_space import parse_space

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
SPACE = """
name: own
num_classes: 10
resolution: [16]
stages:
  - {width: [8, 16], depth: [1, 2], bits: [fp, 8, 4], blocks: {separable: {kernel: [3, 5]}, basic: {}}}
  - {width: [16], depth: [1], blocks: {separable: {kernel: [3]}}}
"""
WIDE = SPACE.replace("[8, 16]", "[16]")
ROAD = (  # from a space file to a report
    "train-supernet --space own.yaml --data digits --epochs 1",
    "profile --device cpu --space own.yaml --dtype int8 --validate 0",
    "search --device cpu --budget 8 --max-size 16.4kB",  # less than any float network of width 16
    "finetune --pick best --epochs 1",
    "export --pick best --format onnx",
    "report",
)


def examples(heading: str) -> list[str]:
    """Return the Python blocks below a heading."""
    text = PAGE.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.fixture
def run_example() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Run an example; whatever it registered is gone afterwards."""
    registries: list[Any] = [KINDS, BLOCKS, SCANS, BACKENDS, ALGORITHMS]
    before = [dict(registry) for registry in registries]

    def run(code: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(code, PAGE.name, "exec"), names)
        return names

    yield run
    for registry, kept in zip(registries, before, strict=True):
        registry.clear()
        registry.update(kept)


def test_an_own_mixer_is_shared_extracted_and_priced_like_ours(run_example: Callable[[str], Any]) -> None:
    run_example(*examples("A mixer"))
    space = parse_space(SPACE, "own.yaml")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        supernet = package.Supernet(space).eval()
        images = torch.randn(8, 3, 16, 16)
    rng = np.random.default_rng(0)
    for architecture in (space.smallest(), space.largest(), *(space.sample(rng) for _ in range(6))):
        stats = package.calibrate(supernet, architecture, images)
        network = package.extract(supernet, architecture, stats)
        with torch.no_grad():
            torch.testing.assert_close(network(images), supernet(images, architecture, stats), atol=1e-4, rtol=1e-4)
        weights = [parameter for name, parameter in network.named_parameters() if "log_step" not in name]
        assert architecture_cost(architecture, 10).num_params == sum(map(torch.numel, weights))


def test_an_own_mixer_with_bits_walks_the_whole_road(
    run_example: Callable[[str], Any], nas: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_example(*examples("A mixer"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(WIDE, encoding="utf-8")
    for command in ROAD:
        outcome = nas(*command.split(), "--quiet")
        assert outcome.code == 0, (command, outcome.err)
    (table,) = tmp_path.glob("latency_tables/*/*.json")
    assert json.loads(table.read_text(encoding="utf-8"))["integer"]["not_measured"] == []
    (model,) = tmp_path.glob("runs/*/models/*/model.json")
    described = json.loads(model.read_text(encoding="utf-8"))
    assert described["integer_kernels"] == described["promised_kernels"] == {"conv": 2, "add": 1}
    assert described["architecture"]["stages"][0]["blocks"][0]["kind"] == "separable"
    assert list(tmp_path.glob("runs/*/exports/*/*.onnx"))


def test_an_own_mixer_without_integer_kernels_is_offered_in_float_only(run_example: Callable[[str], Any]) -> None:
    run_example(*examples("A mixer"))
    KINDS["separable"] = replace(KINDS["separable"], integer_kernels=None)
    space = parse_space(SPACE, "own.yaml")
    assert [stage.bits_of("separable") for stage in space.stages] == [("fp",), ("fp",)]
    assert space.stages[0].bits_of("basic") == ("fp", 8, 4)
    assert parse_space(json.dumps(space.to_dict()), "again") == space
    with pytest.raises(NasError, match="line 6: bits of separable 8 must be one of fp"):
        parse_space(SPACE.replace("bits: [fp, 8, 4]", "bits: {separable: [fp, 8]}"), "own.yaml")
    block = Block.of("separable", 8, kernel=3)
    assert status_of(place(block, 8, 8)) == "unsupported"
    architecture = package.Architecture(16, (Stage(8, (block,)),))
    with pytest.raises(NasError, match="no integer form"):
        check_blocks(architecture)
    with pytest.raises(NasError, match="'separable' promises no integer kernels"):
        promised_kernels(operators(architecture, 10))


@pytest.mark.slow
def test_a_file_with_a_mixer_is_a_nas_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(WIDE, encoding="utf-8")
    ending = "\nfrom nas.cli import main\n\nmain()\n"
    (tmp_path / "my_nas.py").write_text(examples("A mixer")[0] + ending, encoding="utf-8")
    for command in ROAD:
        words = [sys.executable, "my_nas.py", *command.split(), "--quiet"]
        environment = os.environ | {"PYTHONPATH": str(PAGE.parents[1])}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("runs/*/report.html")
    assert "separable" in page.read_text(encoding="utf-8")


def test_an_own_scan_pattern_visits_every_cell_and_has_its_reverse(run_example: Callable[[str], Any]) -> None:
    run_example(*examples("A scan pattern"))
    assert {"rings", "rings_flip"} <= set(scan_names())
    order = scan_order("rings", 3, 3)
    assert sorted(order) == list(range(9))
    assert order[0] == 4 and list(scan_order("rings_flip", 3, 3)) == list(order[::-1])
    scan_order.cache_clear()


def test_an_own_backend_measures(run_example: Callable[[str], Any], nas: Any, tmp_path: Path, monkeypatch: Any) -> None:
    run_example(*examples("A device backend"))
    check_backend("channels-last", Setting())
    module = torch.nn.Conv2d(3, 4, 3)
    output: Any = BACKENDS["channels-last"].prepare(module, (1, 3, 8, 8), Setting())()
    assert output.shape == (1, 4, 6, 6)
    monkeypatch.chdir(tmp_path)
    told = nas("profile", "--space", "toy", "--backend", "channels-last", "--dry-run", "--json")
    assert told.code == 0, told.err
    assert "channels-last-fp32-b1-t1" in told.out


def test_an_own_algorithm_searches(run_example: Callable[[str], Any], tmp_path: Path, monkeypatch: Any) -> None:
    module, registration = examples("A search algorithm")
    (tmp_path / "my_search.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_search", raising=False)
    run_example(registration)
    space = package.SearchSpace.load("toy")

    def macs(architectures: list[Any]) -> list[float]:
        return [float(architecture_cost(each, 10).macs) for each in architectures]

    goals = [package.Objective("macs", "min", macs), package.Objective("width", "max", lambda found: macs(found))]
    result: Any = package.search(space, objectives=goals, constraints=[], algorithm="mine", budget=20, seed=0)
    assert len({each.candidate.id for each in result.evaluations}) == 20


def test_an_own_objective_is_searched_for(run_example: Callable[[str], Any]) -> None:
    with torch.random.fork_rng(devices=[]):
        names = run_example(*examples("An objective of your own"))
    result = names["result"]
    assert len(result.evaluations) == 15
    assert all(each.metrics["memory_kb"] > 0 for each in result.evaluations)
    assert min(each.metrics["memory_kb"] for each in result.evaluations) in {
        each.metrics["memory_kb"] for each in result.front
    }
