"""A tiny run for everybody: the toy space on `digits`, a made-up latency table, and ways to call the command line."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("shared machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("shared machine")
os.environ["OMP_NUM_THREADS"] = "1"  # results to the bit must not depend on the cores that happen to be free
RAY_BINDING = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # read when ray is imported, whichever test imports it first
os.environ[RAY_BINDING] = "0"
ROOT = Path(__file__).parents[1]
# A shell may have told its children to ignore Ctrl-C: undo that first.
MAIN = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); from nas.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def child_environment() -> Callable[[], dict[str, str]]:
    """Return the environment of a command of its own, which has to bind Ray by itself."""
    return lambda: {name: value for name, value in os.environ.items() if name != RAY_BINDING}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in a random order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the tests if asked; mark the long tests of faults, which `make faults` runs."""
    for item in items:
        if item.path.parent.name == "faults" and item.get_closest_marker("slow"):
            item.add_marker("faults")
    if (seed := config.getoption("--shuffle")) is not None:
        random.Random(seed).shuffle(items)


@pytest.fixture(autouse=True)
def own_place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test work in an empty folder, and draw from generators that depend on its own name only."""
    monkeypatch.chdir(tmp_path)
    seed = zlib.crc32(request.node.nodeid.encode())
    random.seed(seed)
    for name in ("numpy", "torch"):
        if module := sys.modules.get(name):
            module.random.seed(seed) if name == "numpy" else module.manual_seed(seed)


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run one command in this process, as `nas` on a command line would."""
    from nas.cli import main

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        written = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), written.out, written.err)

    return run


@pytest.fixture
def spawn(child_environment: Callable[[], dict[str, str]]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start one command in a process of its own; what still runs at the end of the test is killed."""
    started = []

    def start(*words: object, cwd: Path, main: str = MAIN) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", main, *map(str, words)]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        started.append(
            subprocess.Popen(
                command,
                cwd=cwd,
                env={**child_environment(), "PYTHONPATH": paths},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def write_toy_table() -> Callable[..., Path]:
    """Write a valid latency table of a space under `folder`; random times make a front of several members.

    With dtype `int8`, rows of codes take half as long.
    """

    def write(
        folder: Path,
        device: str = "cpu",
        scale: float = 1.0,
        provenance: str = "measured",
        seed: int = 3,
        space: Any = None,
        dtype: str = "fp32",
    ) -> Path:
        import numpy as np

        from nas.hardware.device import this_machine
        from nas.hardware.measurement.correction import Correction
        from nas.hardware.table.header import TableHeader
        from nas.hardware.table.table_file import Row, write_table
        from nas.space.cost import macs
        from nas.space.search_space import SearchSpace

        space, rng = space or SearchSpace.load("toy"), np.random.default_rng(seed)
        noise = {"n_samples": 21, "n_rounds": 3, "rel_noise": 0.02, "provenance": provenance, "sigma_rel": 0.01}
        rows = {}
        for op in space.operators():
            ms = 0.02 * scale * rng.uniform(0.2, 3.0) * (1 if op.bits == "fp" else 0.5)
            rows[op.key] = Row(ms=ms, ms_p50=1.1 * ms, ms_p95=1.3 * ms, macs=macs(op), **noise)
        header: dict[str, Any] = {
            "schema_version": 1,
            "unit": "ms",
            "per": "batch",
            "provenance": provenance,
            "device": device,
            "device_kind": "cpu",
            "fingerprint": this_machine().fingerprint,
            "backend": "onnxruntime",
            "dtype": dtype,
            "batch": 1,
            "threads": 1,
            "space": space.name,
            "space_hash": space.hash,
            "space_definition": space.to_dict(),
            "num_classes": space.num_classes,
            "null_ms": 0.001,
            "correction": Correction("scale", 0.0, 1.1, 0.0, 10),
            "sigma_sys": 0.04,
            "validation": {},
            "evidence": {"date": "2026-01-01T00:00:00+00:00"},
        }
        stem = folder / "latency_tables" / device / f"onnxruntime-{dtype}-b1-t1-{space.name}"
        write_table(TableHeader(**header), rows, stem)
        return stem

    return write


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory, write_toy_table: Callable[..., Path]) -> Path:
    """A folder with `runs/tiny`, a supernet trained for two epochs, and a table for the device `cpu`."""
    from nas.progress import Console
    from nas.workflows.requests import TrainRequest
    from nas.workflows.train_supernet.command import train_supernet

    folder = tmp_path_factory.mktemp("trained")
    write_toy_table(folder)
    with contextlib.chdir(folder):
        request = TrainRequest(
            space="toy",
            data="digits",
            run=Path("runs/tiny"),
            overrides=["epochs=2", "learning_rate=0.01", "ema_share=0.1"],
            now=datetime(2026, 1, 1),
        )
        train_supernet(request, Console(quiet=True))
    return folder


@pytest.fixture
def workspace(trained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `trained_folder` of the test's own, and the current directory."""
    folder = shutil.copytree(trained_folder, tmp_path / "workspace")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def toy_truth(trained_folder: Path) -> dict[str, dict[str, Any]]:
    """The oracle: every architecture of the toy space with its accuracy, latency and size, by id."""
    from nas.data.datasets import load_dataset
    from nas.evaluation.accuracy import inherited_accuracy
    from nas.hardware.table.latency_table import LatencyTable
    from nas.run.run import load_supernet
    from nas.space.cost import architecture_cost

    supernet, dataset = load_supernet(trained_folder / "runs" / "tiny"), load_dataset("digits", 0)
    stem = trained_folder / "latency_tables" / "cpu" / "onnxruntime-fp32-b1-t1-toy"
    table = LatencyTable.load(stem.with_name(f"{stem.name}.json"))
    space, calibration, validation = supernet.space, dataset.calibration(), dataset.validation()
    found = {}
    for architecture in space.everything():
        cost = architecture_cost(architecture, space.num_classes)
        found[architecture.id] = {
            "accuracy": inherited_accuracy(supernet, architecture, calibration, validation),
            "latency_ms": table.predict(architecture).ms,
            "num_params": cost.num_params,
            "size_bytes": cost.size_bytes,
        }
    assert len(found) == space.size
    return found


@pytest.fixture(scope="session")
def one_json() -> Callable[[str], dict[str, Any]]:
    """Read the only line of an output as a JSON object."""

    def read(text: str) -> dict[str, Any]:
        assert text.count("\n") == 1, text
        found = json.loads(text)
        assert isinstance(found, dict)
        return found

    return read


@pytest.fixture
def operator_of() -> Callable[..., Any]:
    """Make an operator of any kind of block, small or large in every setting, with some settings given."""
    from nas.space.kinds import KINDS
    from nas.space.operator import Operator

    small = {"kernel": 3, "band": 5, "expansion": 1, "heads": 2, "state": 4, "mode": "group", "scope": "window-3"}
    large = {"kernel": 5, "band": 9, "expansion": 2.5, "heads": 4, "state": 8, "mode": "sum", "scope": "global"}

    def make(kind: str, width: int, grid: int, size: str = "small", **given: Any) -> Operator:
        one = kind == "state-fusion"  # it has one direction
        directions = {"small": ("v",) if one else ("h", "v_flip"), "large": ("v",) if one else ("h", "w2", "v_flip")}
        settings = {"directions": directions[size], **{"small": small, "large": large}[size], **given}
        names = sorted(KINDS[kind].settings)
        return Operator(kind, width, width, grid, tuple((name, settings[name]) for name in names))

    return make


TOY_BITS = """
name: toy-bits
num_classes: 10
resolution: [12, 16]
head_bits: [fp, 8]
stages:
  - {width: [8, 16], depth: [1], bits: [fp, 8], entry_bits: [fp, 8], blocks: {basic: {}}}
  - width: [16]
    depth: [1, 2]
    bits: [fp, 8, 4]
    entry_bits: [fp, 8]
    blocks:
      conv: {kernel: [3], expansion: [2]}
      ssd: {expansion: [1], heads: [4], state: [8], kernel: [3], directions: [[h, v_flip]], mode: [group]}
"""


@pytest.fixture(scope="session")
def toy_bits() -> Any:
    """A small space of which every part may be float or have 8 bits, and blocks 4."""
    from nas.space.search_space import parse_space

    return parse_space(TOY_BITS, "toy-bits.yaml")


@pytest.fixture
def toy_bits_file(tmp_path: Path) -> Path:
    """The space of `toy_bits` as a file."""
    path = tmp_path / "toy-bits.yaml"
    path.write_text(TOY_BITS, encoding="utf-8")
    return path


@pytest.fixture
def toy() -> Any:
    """The shipped space `toy`, small enough to list all of it."""
    from nas.space.search_space import SearchSpace

    return SearchSpace.load("toy")


@pytest.fixture
def make_supernet() -> Callable[..., Any]:
    """Make a supernet whose BatchNorm statistics and weights are away from their initial values."""
    import torch

    from nas.supernet.supernet import Supernet

    def make(space: Any, seed: int = 0) -> Supernet:
        torch.manual_seed(seed)
        supernet = Supernet(space)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in supernet.state_dict().items():
                if "running_mean" in name or name.endswith(("norm.weight", "norm.bias")):
                    tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
                if "running_var" in name:
                    tensor.mul_(0.5 + torch.rand(tensor.shape, generator=generator))
        return supernet.eval()

    return make


@pytest.fixture
def images() -> Any:
    """A batch of noise, float32 [8, 3, 32, 32]."""
    import torch

    return torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def context_of() -> Callable[..., Any]:
    """Make the context of a step of some space, in the middle of a training; what it looks at can be given."""
    from nas.training.supernet.cost_bin_losses import CostBinLosses
    from nas.training.supernet.sampling import StepContext

    def make(space: Any, step: int = 0, seed: int = 0, **given: Any) -> StepContext:
        usual = {"num_random": 2, "done": 0.5, "bins": list, "score": lambda each: 0.0, "gradient": lambda name: 1.0}
        usual |= {"losses": CostBinLosses(20), "front": (space.smallest(), space.largest())}
        return StepContext(space=space, step=step, seed=seed, **{**usual, **given})

    return make
