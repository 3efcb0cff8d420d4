from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.hardware.device import known_devices, read_cpu, this_machine
from nas.shipped import table_folders

CPUINFO = """processor\t: 0
model name\t: Example CPU 9
cpu family\t: 25
model\t\t: 17
stepping\t: 1
microcode\t: 0xffff
flags\t\t: fpu avx2 avx512f avx512_vnni

processor\t: 1
model name\t: another one
"""


def test_the_fingerprint_names_the_model_and_the_telling_flags() -> None:
    found = read_cpu(CPUINFO)
    assert (found["model"], found["family"]) == ("Example CPU 9", "25-17-1")
    assert found["flags"] == ["avx2", "avx512f", "avx512_vnni"]


def test_the_fingerprint_is_json_and_holds_nothing_that_names_this_very_machine() -> None:
    device = this_machine()
    assert (device.name, device.kind) == ("cpu", "cpu")
    assert set(json.loads(json.dumps(device.fingerprint))) == {"model", "family", "machine", "flags", "cores"}


def test_a_machine_without_cpuinfo_has_a_fingerprint_too() -> None:
    assert read_cpu("")["model"]


def test_tables_here_come_before_the_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latency_tables" / "board").mkdir(parents=True)
    (tmp_path / "latency_tables" / "board" / "a.json").touch()
    (tmp_path / "latency_tables" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert table_folders()[0] == (tmp_path / "latency_tables").resolve()
    assert "board" in known_devices()
    assert "empty" not in known_devices()


def test_devices_and_tables_are_read_without_heavy_libraries() -> None:
    code = "import sys, nas.hardware.device, nas.hardware.table.latency_table; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "onnxruntime", "timm", "scipy"} & {name.split(".")[0] for name in loaded}
