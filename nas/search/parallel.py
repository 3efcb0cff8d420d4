"""Workers on Ray: every actor gets the expensive objectives once, through the object store, and evaluates jobs.

Any worker may evaluate any job. Outcomes come back in the order of the jobs, and none depends on another of its batch,
so that a search gives the same result with any number of workers. A job whose worker dies goes to another one, and
counts as failed when it has killed several. Ray restarts dead workers, on another node where theirs is gone.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nas.errors import NasError
from nas.search.problem import Objective
from nas.search.racing import Job, Outcome, Workers, failed_values, race

LOOPBACK = "127.0.0.1"
PATIENCE_S = 10.0  # without any worker, before a message says what the search waits for
MOST_DEATHS = 3  # workers that may die of one job, or one after the other while they start
MOST_PORT = 65535
START_ONE = "Start one: ray start --head --node-ip-address=127.0.0.1 --port=6379; or leave out --ray-address"


@contextmanager
def ray_workers(
    expensive: Sequence[Objective], count: int, address: str | None = None, say: Callable[[str], None] = print
) -> Iterator[Workers]:
    """Evaluate jobs by `count` Ray actors, started with the first job, on this machine or the cluster at `address`.

    The objectives travel by pickle: functions of modules that every node has, closures too. Where no worker starts, as
    the cluster has other work, `say` is called once. A job that has killed MOST_DEATHS workers has failed, with NaN for
    its values. `NasError` where Ray cannot be reached or has too few CPUs, and where several jobs in a row fail so.
    """
    pool: list[Pool] = []

    def evaluate(jobs: Sequence[Job]) -> Iterator[Outcome]:
        if jobs and not pool:
            connect(count, address)
            pool.append(hire(expensive, count, say))
        return pool[0].submit(jobs) if jobs else iter(())

    try:
        yield evaluate
    finally:
        if pool:
            import ray

            ray.shutdown()


def connect(count: int, address: str | None) -> None:
    """Start Ray on this machine, reachable from it alone, or join the cluster at `address`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    if address is None:
        # Else Ray takes the loopback address for a slip and binds to one that others reach. Read when ray is imported.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    elif address != "auto":
        check_address(address)
    import ray

    here: dict[str, Any] = {"num_cpus": count, "_node_ip_address": LOOPBACK, "include_dashboard": False}
    try:
        ray.init(
            address=address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            **({} if address else here),
        )
    except ConnectionError as error:
        raise NasError(f"there is no Ray cluster at {address}: {error}", START_ONE) from error
    if address is None and not ray.get_runtime_context().gcs_address.startswith(LOOPBACK):
        ray.shutdown()
        remedy = "Import it later, or first: export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0"
        raise NasError("Ray was imported too early: other machines would reach its ports", remedy)
    if (cpus := int(ray.cluster_resources().get("CPU", 0))) < count:
        ray.shutdown()
        raise NasError(f"the Ray cluster has {cpus} CPUs for {count} workers", f"--workers {cpus}, or add nodes")


def check_address(address: str) -> None:
    """Raise `NasError` for what is not HOST:PORT, and where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MOST_PORT or "/" in host:
        raise NasError(f"'{address}' is not the address of a Ray cluster", "--ray-address HOST:PORT, as ray start says")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        raise NasError(f"there is no Ray cluster at {address}: {error}", START_ONE) from error


def hire(expensive: Sequence[Objective], count: int, say: Callable[[str], None]) -> Pool:
    """Start `count` actors, spread over the nodes, and give each the objectives."""
    import ray

    class Worker:
        """Evaluates one job at a time."""

        objectives: Sequence[Objective] | None = None

        def prepare(self, objectives: Sequence[Objective]) -> None:
            """Take the objectives; a restarted worker has none."""
            self.objectives = objectives

        def evaluate(self, job: Job) -> Outcome | None:
            """Evaluate a job; None where the worker was restarted while it was idle, and has no objectives yet."""
            return None if self.objectives is None else race(self.objectives, job, time.perf_counter)

    actor = ray.remote(num_cpus=1, max_restarts=-1, scheduling_strategy="SPREAD")(Worker)
    pool = Pool(ray.put(tuple(expensive)), expensive, say)
    for _ in range(count):
        pool.prepare(actor.remote())
    return pool


@dataclass(slots=True)
class Pool:
    """Actors that are alive and idle, and what is awaited of others: an actor and the number of its job.

    The number is None while an actor starts; `stored` are the objectives in Ray's object store.
    """

    stored: Any
    expensive: Sequence[Objective]
    say: Callable[[str], None]
    idle: list[Any] = field(default_factory=list)
    running: dict[Any, tuple[Any, int | None]] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)  # by number, until their outcome is fetched
    waiting: deque[int] = field(default_factory=deque)
    done: dict[int, Outcome] = field(default_factory=dict)
    killed_by: Counter[int | None] = field(default_factory=Counter)  # workers that died of a job, or while they started
    lost: int = 0  # jobs that have failed one after the other
    numbers: Iterator[int] = field(default_factory=itertools.count)
    patient: bool = False  # whether the first worker was waited for

    def prepare(self, actor: Any) -> None:
        """Let an actor that starts or restarts count as idle when it has the objectives."""
        self.running[actor.prepare.remote(self.stored)] = (actor, None)

    def submit(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Begin jobs at once and return their outcomes in order; later jobs go on while one is waited for."""
        numbers = list(itertools.islice(self.numbers, len(jobs)))
        self.jobs.update(zip(numbers, jobs, strict=True))
        self.waiting.extend(numbers)
        self.hand_out()
        return map(self.fetch, numbers)

    def hand_out(self) -> None:
        """Send waiting jobs to idle actors."""
        while self.waiting and self.idle:
            number, actor = self.waiting.popleft(), self.idle.pop(0)
            self.running[actor.evaluate.remote(self.jobs[number])] = (actor, number)

    def fetch(self, number: int) -> Outcome:
        """Wait for the outcome of a job."""
        while number not in self.done:
            self.take_one()
        del self.jobs[number]
        return self.done.pop(number)

    def take_one(self) -> None:
        """Take in whatever is done next; a job whose worker died is given to another one."""
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError

        ready = self.next_done()
        actor, number = self.running.pop(ready)
        try:
            outcome = ray.get(ready)
        except (RayActorError, OutOfMemoryError) as error:
            self.note_death(number, error)
            self.prepare(actor)
        else:
            if number is not None and outcome is None:  # it was restarted while it was idle
                self.waiting.appendleft(number)
                self.prepare(actor)
            else:
                self.idle.append(actor)
                self.killed_by[None] = 0
                if number is not None:
                    self.done[number], self.lost = outcome, 0
        self.hand_out()

    def note_death(self, number: int | None, error: Exception) -> None:
        """Try a job again, or call it failed when too many workers have died of it."""
        self.killed_by[number] += 1
        if number is None:
            check_deaths("starting", self.killed_by[None], error)
        elif self.killed_by[number] < MOST_DEATHS:
            self.waiting.appendleft(number)
        else:
            candidate = self.jobs[number].candidate
            self.lost += 1
            check_deaths(f"evaluating {candidate}, as {MOST_DEATHS - 1} others before it,", self.lost, error)
            self.say(f"note: {candidate} has killed {MOST_DEATHS} workers and counts as failed")
            self.done[number] = Outcome(failed_values(self.expensive), (), 0.0)

    def next_done(self) -> Any:
        """Wait for whatever is done next; print a line where it is the first worker and takes long."""
        import ray

        if not self.patient:
            self.patient = True
            if done := ray.wait(list(self.running), num_returns=1, timeout=PATIENCE_S)[0]:
                return done[0]
            free, cpus = (
                int(resources.get("CPU", 0)) for resources in (ray.available_resources(), ray.cluster_resources())
            )
            self.say(f"waiting for a worker to start: {free} of the Ray cluster's {cpus} CPUs are free")
        return ray.wait(list(self.running), num_returns=1)[0][0]


def check_deaths(what: str, deaths: int, error: Exception) -> None:
    """Raise `NasError` where worker after worker dies of the same."""
    if deaths >= MOST_DEATHS:
        hint = "See why with --workers 1; fewer workers need less memory"
        raise NasError(f"{what} has killed {deaths} workers", hint) from error
