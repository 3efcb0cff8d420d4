"""A search on Ray in a process of its own: `python ray_search.py killed-worker|two-nodes|killed-node FOLDER`.

Prints, as one line of JSON, the address Ray is reached by, the node and process of each worker, and every evaluation.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from toy_spaces import Flat

from nas.search.loop import search
from nas.search.parallel import ray_workers
from nas.search.problem import Objective, Stages

SHARES = (0.2, 0.5, 1.0)
BUDGET = 50


def accuracies(candidates):
    return [sum((i + 1) * gene * (gene - 1.3) for i, gene in enumerate(candidate)) / 100 for candidate in candidates]


def lengths(candidates):
    return [float(sum(candidate)) for candidate in candidates]


def count(candidate, stage):
    total = 100 * (stage + 1)
    return total * (0.4 + accuracies([candidate])[0]) + stage, total


def raced(counting=count):
    return Objective("accuracy", "max", accuracies, expensive=True, stages=Stages(SHARES, counting))


def run(accuracy, **changes):
    objectives = [accuracy, Objective("length", "min", lengths)]
    return search(Flat((3,) * 8), **{"objectives": objectives, "budget": BUDGET, **changes})


def evaluations_of(result):
    return [[list(evaluation.genome), dict(evaluation.metrics)] for evaluation in result.evaluations]


def watched(folder, deadly, num_nodes):
    """Count when `num_nodes` nodes take part, and leave a file named by node and process.

    Where `deadly`, the first long candidate kills its process.
    """

    def counting(candidate, stage):
        import ray

        name = f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}"
        (folder / name).touch()
        while len({path.name.split("-")[0] for path in folder.glob("*-*")}) < num_nodes:
            time.sleep(0.05)
        if deadly and sum(candidate) > 9 and not (folder / "dead").exists():
            (folder / "dead").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return count(candidate, stage)

    return raced(counting)


def main(mode, folder):
    accuracy, cluster, second = (
        watched(folder, mode == "killed-worker", 1 if mode == "killed-worker" else 2),
        None,
        None,
    )
    if mode != "killed-worker":
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        second = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    done = []

    def record(evaluation):
        done.append(evaluation)
        if mode == "killed-node" and len(done) == BUDGET // 2:
            cluster.remove_node(second, allow_graceful=False)

    with ray_workers([accuracy], 2, cluster and cluster.address) as workers:
        result = run(accuracy, workers=workers, record=record)
        import ray

        address = ray.nodes()[0]["NodeManagerAddress"]
    print(json.dumps({"address": address, "evaluations": evaluations_of(result)}))
    if cluster is not None:
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
