"""Several processes train what one does; whoever dies, the training goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue

import pytest

from nas.errors import NasError
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.train_supernet.workers import RemoteConsole, check_workers, until_done

ROOT = Path(__file__).parents[3]
WORDS = ["train-supernet", "--space", "toy", "--data", "digits", "--epochs", 3, "--set", "batch_size=256", "--quiet"]


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "training.jsonl").read_text().splitlines()]


def workers_of(pid):
    """Process numbers of the training workers below a process."""
    table = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()[1:]]
    below, grew = {pid}, True
    while grew:
        more = {int(row[0]) for row in rows if int(row[1]) in below} - below
        below, grew = below | more, bool(more)
    return [int(row[0]) for row in rows if int(row[0]) in below and "RayTrainWorker" in row[2]]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """A run that two workers trained undisturbed."""
    folder = tmp_path_factory.mktemp("two")
    words = [sys.executable, "-c", "from nas.cli import main; main()", *map(str, WORDS), "--run", "run"]
    subprocess.run([*words, "--workers", "2"], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return folder / "run"


@pytest.mark.slow
def test_two_workers_have_the_loss_curve_of_one_process(by_two, tmp_path, nas, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert nas(*WORDS, "--run", "one").code == 0
    assert losses(by_two) == pytest.approx(losses(tmp_path / "one"), rel=3e-3)


@pytest.mark.slow
def test_a_killed_worker_costs_an_epoch_and_changes_no_bit(by_two, tmp_path, spawn):
    process = spawn(*WORDS, "--run", "run", "--workers", 2, cwd=tmp_path)
    log = tmp_path / "run" / "training.jsonl"
    while not log.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    os.kill(workers_of(process.pid)[-1], signal.SIGKILL)
    assert process.wait() == 0, process.stderr.read()
    assert losses(tmp_path / "run") == losses(by_two)
    weights = "supernet.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (by_two / weights).read_bytes()


def test_a_batch_without_equal_shares_is_refused_with_one_that_has_them():
    check_workers(4, SupernetRecipe(batch_size=32, accumulate=2))
    with pytest.raises(NasError, match=r"16 images .* no 3 equal shares\. --set batch_size=30"):
        check_workers(3, SupernetRecipe(batch_size=32, accumulate=2))


def ended(error):
    training = Future()
    training.set_exception(error)
    return training


def test_deaths_of_workers_are_the_users_and_bugs_are_ours():
    from ray.exceptions import RayActorError
    from ray.train import ControllerError, WorkerGroupError

    died = {0: RuntimeError("Connection closed by peer"), 1: RayActorError()}
    for error in (WorkerGroupError("gone", died), ControllerError(RayActorError())):
        with pytest.raises(NasError, match=r"3 times .* died\. Continue with --resume"):
            list(until_done(ended(error), SimpleQueue()))
    with pytest.raises(WorkerGroupError):
        list(until_done(ended(WorkerGroupError("bug", {0: ZeroDivisionError()})), SimpleQueue()))


def test_what_workers_say_arrives_in_order_to_the_last_line():
    messages, done = SimpleQueue(), Future()
    for text in ("first", "second"):
        RemoteConsole(messages).say(text)
    done.set_result(None)
    assert list(until_done(done, messages)) == ["first", "second"]
