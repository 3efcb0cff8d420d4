"""One supernet trained by several processes, which Ray Train starts, joins and, when one dies, starts again."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any

from nas.data.datasets import load_dataset
from nas.errors import NasError
from nas.files import JsonObject, write_bytes
from nas.nn.ranks import Ranks
from nas.progress import Console
from nas.run.run import Run
from nas.search.parallel import connect
from nas.space.search_space import SearchSpace
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.requests import RayWorkers
from nas.workflows.train_supernet.epochs import train_in
from nas.workflows.train_supernet.run_folder_actor import RunFolderActor, read_written

MOST_DEATHS = 3  # of workers, in one training
SIOCGIFADDR = 0x8915  # Linux: the address of a network interface


def check_workers(workers: int, recipe: SupernetRecipe) -> None:
    """Refuse a number of workers that a batch, or each of its parts, cannot be shared among equally."""
    part = recipe.batch_size // recipe.accumulate
    if part % workers:
        raise NasError(
            f"{part} images that go through at once have no {workers} equal shares",
            f"--set batch_size={recipe.accumulate * workers * max(1, part // workers)}, or another --workers",
        )


def train_by_workers(
    workers: RayWorkers,
    run: Run,
    space: SearchSpace,
    data: str,
    recipe: SupernetRecipe,
    seed: int,
    console: Console,
) -> None:
    """Train into a run by processes on this machine or of a Ray cluster, from its last checkpoint if there is one.

    They hold the same weights, draw the same subnets and see a share of every batch each. When one dies, all go back
    to the last checkpoint. Raises what a worker raised as a `NasError`, and one where MOST_DEATHS were not enough.
    """
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # data, tables and runs are named from where the command was called
    connect(workers.count, workers.address)
    import ray  # after it: what Ray binds to is settled when it is imported
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Queue

    messages = Queue(actor_options={"num_cpus": 0, **on_this_machine()})
    run_folder = ray.remote(num_cpus=0, **on_this_machine())(RunFolderActor).remote(run.path.resolve())
    job = {"run_folder": run_folder, "space": space, "data": data, "recipe": recipe, "seed": seed, "messages": messages}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        trainer = TorchTrainer(
            train_share,
            train_loop_config=job,
            torch_config=joined_by_themselves(),
            scaling_config=ScalingConfig(num_workers=workers.count),
            run_config=RunConfig(storage_path=folder, failure_config=FailureConfig(max_failures=MOST_DEATHS)),
        )
        try:
            training = beside.submit(trainer.fit)  # in the main thread, Ray would take Ctrl-C for itself
            for message in until_done(training, messages):
                if isinstance(message, NasError):
                    raise message
                console.say(message)
        finally:
            ray.shutdown()


def on_this_machine() -> JsonObject:
    """Ask Ray for an actor where the command was called: the run's folder is there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False)}


def joined_by_themselves() -> Any:
    """Configure workers that Ray does not join: the store at which torch joins them would listen to every network."""
    from ray.train.backend import Backend
    from ray.train.torch import TorchConfig

    class Joined(TorchConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return Backend

    return Joined()


def join(ranks: Ranks) -> None:
    """Join the workers in one group, over the addresses of their Ray nodes only: alone on a machine, the loopback."""
    import ray
    from ray.train.collective import broadcast_from_rank_zero
    from torch import distributed as dist

    own, first = ray.util.get_node_ip_address(), ranks.rank == 0
    listener = socket.create_server((own, 0)) if first else None
    host, port = broadcast_from_rank_zero(listener and listener.getsockname())
    descriptor = listener.detach() if listener else None
    store = dist.TCPStore(host, port, ranks.count, first, wait_for_workers=False, master_listen_fd=descriptor)
    if (name := interface_of(own)) is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    dist.init_process_group("gloo", store=store, rank=ranks.rank, world_size=ranks.count)


def interface_of(address: str) -> str | None:
    """Name the network interface that has an address; None where the system does not tell."""
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            answer = ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()))
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None


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
    """Return a training that workers have died of from one that a bug has ended."""
    from ray.exceptions import RayActorError

    failures = [getattr(error, "controller_failure", None), *getattr(error, "worker_failures", {}).values()]
    if any(isinstance(failure, RayActorError) for failure in failures):
        hint = "Continue with --resume; fewer --workers need less memory"
        raise NasError(f"more than {MOST_DEATHS} times workers of this training have died", hint) from error


class RemoteConsole(Console):
    """A console that speaks where the command was called, not in the worker."""

    def __init__(self, messages: Any) -> None:
        super().__init__()
        self.messages = messages

    def say(self, text: str) -> None:
        """Send one line."""
        self.messages.put(text)


def train_share(job: JsonObject) -> None:
    """What every worker runs, and runs again when one has died."""
    import ray.train

    context = ray.train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    console = RemoteConsole(job["messages"]) if ranks.rank == 0 else Console(quiet=True)
    dataset, run_folder = load_dataset(job["data"], job["seed"]), job["run_folder"]
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, data in ray.get(run_folder.files.remote()).items():
                write_bytes(folder / file, data)
            join(ranks)

            def written() -> None:
                if ranks.rank == 0:
                    ray.get(run_folder.keep.remote(read_written(folder)))

            train_in(Run(folder), job["space"], dataset, job["recipe"], job["seed"], console, ranks, written)
    except NasError as error:  # raised here, it would count as a death
        job["messages"].put(error)
