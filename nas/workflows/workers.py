"""One supernet trained by several processes, which Ray Train starts, joins and, when one dies, starts anew."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from nas.errors import NasError
from nas.evaluation.data import load_dataset
from nas.progress import Talk
from nas.search.parallel import connect
from nas.space.search_space import SearchSpace
from nas.supernet.peers import Peers
from nas.supernet.recipe import SupernetRecipe
from nas.workflows.epochs import train_in

MOST_DEATHS = 3  # of workers, in one training


def check_workers(workers: int, recipe: SupernetRecipe) -> None:
    """Refuse a number of workers that a batch, or each of its parts, cannot be shared among equally."""
    part = recipe.batch_size // recipe.accumulate
    if part % workers:
        raise NasError(
            f"{part} images that go through at once have no {workers} equal shares",
            f"--set batch_size={recipe.accumulate * workers * max(1, part // workers)}, or another --workers",
        )


def train_by_workers(
    workers: int, run: Path, space: SearchSpace, data: str, recipe: SupernetRecipe, seed: int, talk: Talk
) -> None:
    """Train into a run by `workers` processes on this machine, from its last checkpoint if there is one.

    They hold the same weights, draw the same subnets and see a share of every batch each. When one dies, all go back
    to the last checkpoint. Raises what a worker raised as a `NasError`, and one where MOST_DEATHS were not enough.
    """
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # data, tables and runs are named from where the command was called
    connect(workers, None)
    import ray  # after it: what Ray binds to is settled when it is imported
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Queue

    messages = Queue(actor_options={"num_cpus": 0})
    job = {"run": run, "space": space, "data": data, "recipe": recipe, "seed": seed, "messages": messages}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        trainer = TorchTrainer(
            train_share,
            train_loop_config={**job, "folder": folder},
            torch_config=joined_by_themselves(),
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=folder, failure_config=FailureConfig(max_failures=MOST_DEATHS)),
        )
        try:
            training = beside.submit(trainer.fit)  # in the main thread, Ray would take Ctrl-C for itself
            for message in until_done(training, messages):
                if isinstance(message, NasError):
                    raise message
                talk.say(message)
        finally:
            ray.shutdown()


def joined_by_themselves() -> Any:
    """Configure workers that Ray does not join: the store at which torch joins them would listen to the network."""
    from ray.train.backend import Backend
    from ray.train.torch import TorchConfig

    class Joined(TorchConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return Backend

    return Joined()


def join(peers: Peers, folder: str) -> None:
    """Join the workers in one group, by a new file in their folder and over the loopback interface."""
    from ray.train.collective import broadcast_from_rank_zero
    from torch import distributed as dist

    path = broadcast_from_rank_zero(f"{folder}/{uuid4()}" if peers.rank == 0 else None)
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    dist.init_process_group("gloo", store=dist.FileStore(path, peers.count), rank=peers.rank, world_size=peers.count)


def until_done(training: Future[Any], messages: Any) -> Iterator[Any]:
    """Yield what workers send, until they are done; raises what ended them."""
    from queue import Empty

    while not training.done() or not messages.empty():
        with suppress(Empty):
            yield messages.get(timeout=0.5)
    try:
        training.result()
    except Exception as error:
        check_deaths(error)
        raise


def check_deaths(error: Exception) -> None:
    """Tell a training that workers have died of from one that a bug has ended."""
    from ray.exceptions import RayActorError

    failures = [getattr(error, "controller_failure", None), *getattr(error, "worker_failures", {}).values()]
    if any(isinstance(each, RayActorError) for each in failures):
        hint = "Continue with --resume; fewer --workers need less memory"
        raise NasError(f"more than {MOST_DEATHS} times workers of this training have died", hint) from error


class Relay(Talk):
    """Says things where the command was called, not in the worker."""

    def __init__(self, messages: Any) -> None:
        super().__init__()
        self.messages = messages

    def say(self, text: str) -> None:
        """Send one line."""
        self.messages.put(text)


def train_share(job: dict[str, Any]) -> None:
    """What every worker runs, and runs again when one has died."""
    import ray.train

    context = ray.train.get_context()
    peers = Peers(context.get_world_rank(), context.get_world_size())
    talk = Relay(job["messages"]) if peers.rank == 0 else Talk(quiet=True)
    join(peers, job["folder"])
    dataset = load_dataset(job["data"], job["seed"])
    try:
        train_in(job["run"], job["space"], dataset, job["recipe"], job["seed"], talk, peers)
    except NasError as error:  # raised here, it would count as a death
        job["messages"].put(error)
