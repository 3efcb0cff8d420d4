"""Two machines that share a network and no file system: namespaces of this one, with a Ray node in each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nas.files import read_jsonl

ROOT = Path(__file__).parents[2]
HEAD, OTHER = "10.77.0.1", "10.77.0.2"
RUN = "runs/tiny"
SEARCHED = ("front.csv", "front.json", "hypervolume.csv", "evaluations.jsonl")
RAY = "from ray.scripts.scripts import main; main()"
AUTHENTICATION = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "1" * 64}
NAS = "from nas.cli import main; main()"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def networks() -> Iterator[dict[str, str]]:
    """Names of two network namespaces by their address, joined by a cable; they need rights that not all have."""
    ends = {HEAD: f"nas{os.getpid()}a", OTHER: f"nas{os.getpid()}b"}
    if shutil.which("ip") is None:
        pytest.skip("there is no ip command here")
    try:
        ip("netns", "add", ends[HEAD])
    except subprocess.CalledProcessError:
        pytest.skip("network namespaces are not permitted here")
    try:
        ip("netns", "add", ends[OTHER])
        ip("link", "add", "cable-a", "netns", ends[HEAD], "type", "veth", "peer", "cable-b", "netns", ends[OTHER])
        for (address, name), link in zip(ends.items(), ("cable-a", "cable-b"), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield ends
    finally:
        for name in ends.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def cluster(
    networks: dict[str, str], workspace: Path, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A Ray node of one CPU in each network; the second sees neither the run nor Ray's files of the first."""
    started: list[subprocess.Popen[str]] = []
    temporary = Path(tempfile.mkdtemp(prefix="nas-ray-"))  # its path is short: Ray makes sockets there

    def start(address: str, code: str, *words: object, hidden: bool = False) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, words)]
        hide = [f"mount -t tmpfs tmpfs {folder} && " for folder in (workspace, temporary)] if hidden else []
        shell = ["sh", "-c", f'cd / && {"".join(hide)}exec "$@"', "sh"] if hidden else []
        started.append(
            subprocess.Popen(
                ["ip", "netns", "exec", networks[address], *shell, *command],
                env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", **AUTHENTICATION},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    once = ("start", "--block", "--num-cpus=1", "--disable-usage-stats", "--object-store-memory=100000000")
    head = (f"--node-ip-address={HEAD}", "--port=6379", "--include-dashboard=false", f"--temp-dir={temporary}")
    start(HEAD, RAY, *once, "--head", *head)
    time.sleep(10)
    start(OTHER, RAY, *once, f"--address={HEAD}:6379", f"--node-ip-address={OTHER}", hidden=True)
    time.sleep(15)
    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.mark.slow
def test_a_search_and_a_tuning_run_on_two_machines_without_a_common_file_system(
    cluster: Callable[..., subprocess.Popen[str]], workspace: Path
) -> None:
    on_both = ("--workers", 2, "--ray-address", f"{HEAD}:6379", "--quiet")
    search = ("search", "--run", RUN, "--device", "cpu", "--budget", 24)
    found = {}
    for name, words in (("one process", (*search, "--quiet")), ("two machines", (*search, *on_both))):
        shutil.rmtree(workspace / RUN / "search", ignore_errors=True)
        process = cluster(HEAD, NAS, *words)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        found[name] = [(workspace / RUN / "search/cpu" / file).read_bytes() for file in SEARCHED]
    assert found["two machines"] == found["one process"]

    short = ("--set", "epochs=1", "--set", "batch_size=256", "--set", "ema_share=0.1")
    process = cluster(HEAD, NAS, "finetune", "--run", RUN, "--pick", "smallest", "--trials", 2, *short, *on_both)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    (trials,) = (workspace / RUN / "tuning").glob("*.jsonl")
    assert len(read_jsonl(trials)) == 2


@pytest.mark.slow
def test_a_supernet_is_trained_on_two_machines_without_a_common_file_system(
    cluster: Callable[..., subprocess.Popen[str]], workspace: Path
) -> None:
    train = ("train-supernet", "--space", "toy", "--data", "digits", "--epochs", 2, "--set", "batch_size=256")
    on_both = ("--workers", 2, "--ray-address", f"{HEAD}:6379")
    found = {}
    for name, words in (("one", train), ("two", (*train, *on_both)), ("two again", (*train, *on_both))):
        process = cluster(HEAD, NAS, *words, "--run", workspace / name, "--quiet")
        said, _ = process.communicate()
        assert process.returncode == 0, said
        found[name] = [row["loss"] for row in read_jsonl(workspace / name / "training.jsonl")]
    assert found["two"] == pytest.approx(found["one"], rel=3e-3)
    weights = [(workspace / name / "supernet.safetensors").read_bytes() for name in ("two", "two again")]
    assert weights[0] == weights[1]
