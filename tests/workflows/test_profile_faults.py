"""`nas profile` where things go wrong: killed, twice at once, on a full disk, with few packages."""

from __future__ import annotations

import random
import signal
import time

import pytest

from nas.hardware.table.latency_table import LatencyTable
from nas.space.search_space import SearchSpace

QUICK = ("profile", "--device", "box", "--space", "toy", "--backend", "eager", "--validate", 12, "--quiet")
STEM = "latency_tables/box/eager-fp32-b1-t1-toy"
RUN = "import sys; from nas.cli import main; main()"


def whole(folder):
    """Load the table; every row of the space must be in it."""
    table = LatencyTable.load(folder / f"{STEM}.json")
    assert set(table.rows) == {operator.key for operator in SearchSpace.load("toy").operators()}
    return table


@pytest.mark.slow
def test_a_profile_killed_at_random_moments_and_resumed_gives_a_whole_table(spawn, tmp_path):
    rng = random.Random(0)
    journal, lines = tmp_path / f"{STEM}.partial.jsonl", 0
    for _ in range(5):
        process = spawn(*QUICK, "--resume", cwd=tmp_path)
        wanted = lines + rng.randint(1, 15)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < wanted):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = journal.read_bytes().count(b"\n")  # it is there: the measurement was not over
        assert lines >= wanted
    process = spawn(*QUICK, "--resume", cwd=tmp_path)
    assert process.wait() == 0, process.communicate()[1]
    assert whole(tmp_path).header.validation["n"] == 2
    assert not journal.exists()


def test_a_second_profile_of_one_table_is_refused_and_harms_nothing(spawn, tmp_path):
    waiting = f"""
import nas.hardware.measurement.profile as profile, time
measure = profile.measure_into
def slowly(*args, **options):
    print("measuring", flush=True)
    while not __import__("pathlib").Path("go").exists():
        time.sleep(0.05)
    return measure(*args, **options)
profile.measure_into = slowly
{RUN}"""
    first = spawn(*QUICK, cwd=tmp_path, main=waiting)
    assert first.stdout.readline() == "measuring\n"
    second = spawn(*QUICK, cwd=tmp_path)
    _, said = second.communicate()
    assert second.returncode == 3
    assert "another nas profile is measuring eager-fp32-b1-t1-toy. Wait until it ends" in said
    (tmp_path / "go").touch()
    assert first.wait() == 0
    whole(tmp_path)


def test_a_full_disk_exits_with_3_and_leaves_the_old_table_intact(spawn, tmp_path):
    assert spawn(*QUICK, cwd=tmp_path).wait() == 0
    files = [tmp_path / f"{STEM}{suffix}" for suffix in (".csv", ".json")]
    before = [path.read_bytes() for path in files]
    # No file may grow beyond 4 kB: a write beyond it fails as on a full disk.
    full = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += f"resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n{RUN}"
    process = spawn(*QUICK, cwd=tmp_path, main=full)
    _, said = process.communicate()
    assert process.returncode == 3
    assert said.startswith("error: cannot write") and "Make room" in said
    assert "Traceback" not in said
    assert [path.read_bytes() for path in files] == before
    assert spawn(*QUICK, "--resume", cwd=tmp_path).wait() == 0
    whole(tmp_path)


def test_profiling_needs_torch_timm_pandas_pyyaml_rich_and_typer_only(spawn, tmp_path):
    lacking = """
import sys
class Absent:
    names = "pymoo optuna ray plotly sklearn scipy onnx onnxruntime openvino safetensors torchvision".split()
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
    process = spawn(*QUICK, cwd=tmp_path, main=lacking + RUN)
    _, said = process.communicate()
    assert process.returncode == 0, said
    whole(tmp_path)
