"""What a command opens to the network: nothing, or with workers Ray's ports on the loopback address."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are read from /proc")
LISTENS, LOOPBACK = "0A", ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
RUN = ("--run", "runs/tiny", "--quiet")
TRAIN = ("train-supernet", "--space", "toy", "--data", "digits", "--epochs", 1, "--set", "batch_size=256", "--quiet")
SINGLE_PROCESS = {
    "train": TRAIN,
    "search": ("search", "--device", "cpu", "--budget", 8, *RUN),
    "finetune": ("finetune", "--pick", "smallest", "--epochs", 1, *RUN),
    "report": ("report", *RUN),
}
TOGETHER = {
    "train": (*TRAIN, "--workers", 2),
    "search": ("search", "--device", "cpu", "--budget", 8, "--workers", 2, *RUN),
    "finetune": ("finetune", "--pick", "smallest", "--epochs", 1, "--trials", 2, "--workers", 2, *RUN),
}


def below(pid):
    """Process numbers of a process and all that it has begun, directly or not."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found, grew = {pid}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} - found
        found, grew = found | more, bool(more)
    return found


def sockets_of(pids):
    """The numbers of all sockets that processes hold."""
    found = set()
    for pid in pids:
        try:
            links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        found |= {link[8:-1] for link in links if link.startswith("socket:[")}
    return found


def listening(pid):
    """The addresses, in hex, at which a process and those below it listen."""
    own = sockets_of(below(pid))
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == LISTENS and row[9] in own}


def seen_while(process):
    """All addresses at which anything listened until the process ended well."""
    found = set()
    while process.poll() is None:
        found |= listening(process.pid)
        time.sleep(0.1)
    assert process.returncode == 0, process.stderr.read()
    return found


def test_a_listener_is_seen(tmp_path):
    code = "import socket, time; s = socket.create_server(('', 0)); print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    assert listening(process.pid) == {"00000000"}
    process.kill()
    process.communicate()


@pytest.mark.parametrize("name", SINGLE_PROCESS)
def test_a_command_without_workers_listens_nowhere(name, searched_folder, tmp_path, spawn):
    folder = shutil.copytree(searched_folder, tmp_path / "run")
    assert seen_while(spawn(*SINGLE_PROCESS[name], cwd=folder)) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", TOGETHER)
def test_workers_listen_on_the_loopback_address_only(name, searched_folder, tmp_path, spawn):
    folder = shutil.copytree(searched_folder, tmp_path / "run")
    found = seen_while(spawn(*TOGETHER[name], cwd=folder))
    assert found and found <= set(LOOPBACK)
