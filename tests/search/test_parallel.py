"""Workers on Ray give what one process gives, whoever dies."""

import json
import math
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
from nas.search.parallel import Pool, ray_workers
from nas.search.racing import Job, Outcome

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


class Fake:
    """Ray's part: calls of an actor are done in an order of their own, or raise."""

    def __init__(self, monkeypatch, answers, last_first=False):
        import ray

        self.answers, self.called, self.given = answers, [], {}
        monkeypatch.setattr(ray, "get", self.get)
        order = -1 if last_first else 0
        monkeypatch.setattr(ray, "wait", lambda refs, num_returns, timeout=None: ([refs[order]], refs))

    def actor(self):
        return SimpleNamespace(
            prepare=SimpleNamespace(remote=lambda stored: self.call("prepare", stored)),
            evaluate=SimpleNamespace(remote=lambda job: self.call("evaluate", job)),
        )

    def call(self, name, given):
        self.called.append(given)
        reference = object()
        self.given[reference] = (name, given)
        return reference

    def get(self, reference):
        name, given = self.given[reference]
        answer = None if name == "prepare" else self.answers(given)
        if isinstance(answer, Exception):
            raise answer
        return answer


def pool_of(fake, actors, said=None):
    say = print if said is None else said.append
    return Pool("stored", [raced()], say, idle=[fake.actor() for _ in range(actors)], patient=True)


def outcome_of(job):
    return Outcome({"a": float(job.candidate)}, (), 0.0)


def jobs_of(*candidates):
    return [Job(candidate, {}, {}, None) for candidate in candidates]


def test_outcomes_come_in_the_order_of_their_jobs_and_later_jobs_begin_before_the_first_are_fetched(monkeypatch):
    fake = Fake(monkeypatch, outcome_of, last_first=True)
    pool = pool_of(fake, actors=3)
    first, second = jobs_of(0, 1), jobs_of(2, 3)
    one, two = pool.submit(first), pool.submit(second)
    assert fake.called == [*first, second[0]]  # as many as there are actors, before anybody has waited
    assert list(one) + list(two) == [outcome_of(job) for job in (*first, *second)]
    assert not pool.jobs and not pool.done and not pool.running


def test_a_job_that_kills_worker_after_worker_has_failed_and_the_others_go_on(monkeypatch):
    from ray.exceptions import RayActorError

    def answer(job):
        return RayActorError() if job.candidate == 1 else outcome_of(job)

    fake, said = Fake(monkeypatch, answer), []
    outcomes = list(pool_of(fake, 2, said).submit(jobs_of(0, 1, 2)))
    assert [outcomes[0], outcomes[2]] == [outcome_of(job) for job in jobs_of(0, 2)]
    assert math.isnan(outcomes[1].values["accuracy"]) and outcomes[1].values["accuracy_share"] == 0.0
    assert said == ["note: 1 has killed 3 workers and counts as failed"]
    assert [getattr(job, "candidate", None) for job in fake.called].count(1) == 3


def test_a_search_ends_where_every_job_kills_its_workers(monkeypatch):
    from ray.exceptions import RayActorError

    fake = Fake(monkeypatch, lambda job: RayActorError())
    with pytest.raises(NasError, match=r"evaluating 2, as 2 others before it, has killed 3 workers.*--workers 1"):
        list(pool_of(fake, 1, []).submit(jobs_of(0, 1, 2, 3)))


def test_a_worker_that_was_restarted_while_it_was_idle_gets_the_objectives_again(monkeypatch):
    (job,) = jobs_of(0)
    fake = Fake(monkeypatch, lambda given: outcome_of(given) if fake.called[-2:] == ["stored", job] else None)
    assert list(pool_of(fake, 1).submit([job])) == [outcome_of(job)]
    assert fake.called == [job, "stored", job]


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
    pool = Pool("stored", [], said.append, running={"starting": (None, None)})
    with pytest.raises(StopIteration):
        while True:
            pool.next_done()
    assert said == ["waiting for a worker to start: 0 of the Ray cluster's 4 CPUs are free"]


def test_a_search_that_evaluates_nothing_new_starts_no_ray():
    whole = run(raced())
    known = {evaluation.genome: evaluation.metrics for evaluation in whole.evaluations}
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


@pytest.mark.slow
def test_ray_that_was_imported_too_early_to_stay_on_this_machine_is_refused(child_environment):
    code = "import ray; from nas.search.parallel import connect; connect(1, None)"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=child_environment()
    )
    assert "NasError" in ended.stderr and "imported too early" in ended.stderr
