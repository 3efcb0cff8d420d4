"""Workers on Ray give what one process gives, whoever dies."""

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.errors import NasError
from nas.search import parallel
from nas.search.parallel import Pool, check_deaths, in_order, ray_workers
from nas.search.racing import Outcome

SCRIPT = Path(__file__).with_name("ray_search.py")
BUDGET, evaluations_of, raced, run = (
    runpy.run_path(str(SCRIPT))[name] for name in ("BUDGET", "evaluations_of", "raced", "run")
)


def on_ray(mode, folder):
    """Search on Ray in another process: what it printed, and the nodes and processes that evaluated."""
    paths = os.pathsep.join([str(SCRIPT.parents[2]), str(SCRIPT.parent)])
    done = subprocess.run(
        [sys.executable, SCRIPT, mode, folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
    )
    assert done.returncode == 0, done.stderr
    evaluated_by = [path.name.split("-") for path in folder.iterdir() if "-" in path.name]
    return (
        json.loads(done.stdout.splitlines()[-1]),
        {node for node, _ in evaluated_by},
        {pid for _, pid in evaluated_by},
    )


def test_outcomes_come_in_the_order_of_their_jobs():
    outcomes = [Outcome({"a": float(i)}, (), 0.0) for i in range(5)]
    shuffled = iter([(i, outcomes[i]) for i in (3, 0, 4, 1, 2)])
    assert list(in_order(shuffled, 5)) == outcomes


def test_a_job_that_kills_worker_after_worker_ends_the_search_with_its_candidate():
    check_deaths("evaluating (0, 1)", 2, RuntimeError())
    with pytest.raises(NasError, match=r"evaluating \(0, 1\) has killed 3 workers.*--workers 1"):
        check_deaths("evaluating (0, 1)", 3, RuntimeError())


def test_a_worker_that_was_restarted_while_it_was_idle_gets_the_objectives_again(monkeypatch):
    import ray

    calls = []

    def prepare(stored):
        calls.append(stored)
        return object()

    def evaluate(job):
        calls.append(job)
        return object()

    monkeypatch.setattr(ray, "wait", lambda refs, num_returns, timeout=None: (refs[:1], refs[1:]))
    outcome = Outcome({"a": 1.0}, (), 0.0)
    monkeypatch.setattr(ray, "get", lambda ref: outcome if calls[-2:] == ["stored", "job"] else None)
    actor = SimpleNamespace(prepare=SimpleNamespace(remote=prepare), evaluate=SimpleNamespace(remote=evaluate))
    assert list(Pool("stored", print, idle=[actor]).evaluate(["job"])) == [(0, outcome)]
    assert calls == ["job", "stored", "job"]


@pytest.mark.parametrize("address", ["nonsense", "", "host:port", "127.0.0.1:99999", ":6379", "ray://127.0.0.1:1"])
def test_an_address_that_is_none_is_refused_with_a_remedy(address):
    with pytest.raises(NasError, match=r"not the address of a Ray cluster.*--ray-address HOST:PORT"):
        parallel.connect(1, address)


def test_an_address_where_nothing_listens_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        with pytest.raises(NasError, match=r"no Ray cluster at.*ray start --head"):
            parallel.connect(1, f"127.0.0.1:{taken.getsockname()[1]}")


def test_it_is_said_once_that_no_worker_has_started(monkeypatch):
    import ray

    answers, said = iter([[], ["done"], ["more"]]), []
    monkeypatch.setattr(ray, "wait", lambda refs, num_returns, timeout=None: (next(answers), refs))
    monkeypatch.setattr(ray, "available_resources", dict)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0})
    pool = Pool("stored", said.append, running={"starting": (None, None)})
    with pytest.raises(StopIteration):
        while True:
            pool.next_done()
    assert said == ["waiting for a worker to start: 0 of the Ray cluster's 4 CPUs are free"]


def test_a_search_that_evaluates_nothing_new_starts_no_ray():
    whole = run(raced())
    known = {each.genome: each.metrics for each in whole.evaluations}
    with ray_workers([raced()], 2) as workers:
        assert run(raced(), known=known, workers=workers) == whole
        assert list(workers([])) == []
    code = "import sys, nas.search.parallel, nas.search.loop; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_worker_killed_in_mid_evaluation_costs_a_retry_and_ray_listens_to_this_machine_only(tmp_path):
    found, _, pids = on_ray("killed-worker", tmp_path)
    assert found["evaluations"] == evaluations_of(run(raced()))
    assert len(found["evaluations"]) == BUDGET
    assert (tmp_path / "dead").exists()
    assert len(pids) >= 2
    assert found["address"] == "127.0.0.1"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["two-nodes", "killed-node"])
def test_two_nodes_of_which_one_may_die_find_what_one_process_finds(mode, tmp_path):
    found, nodes, _ = on_ray(mode, tmp_path)
    assert found["evaluations"] == evaluations_of(run(raced()))
    assert len(nodes) == 2
