from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from nas.data.datasets import load_dataset
from nas.nn.timm_model import Reference
from nas.run.run import load_supernet
from nas.workflows.network_training.candidates import hand_designed, inherited_subnet, subnet_from_scratch

RUN = Path("runs/tiny")


def test_candidates_are_made_by_several_threads_as_by_one(workspace):
    supernet, dataset, rng = load_supernet(RUN), load_dataset("digits", 0), np.random.default_rng(0)
    architectures = [supernet.space.sample(rng) for _ in range(6)]
    candidates = [inherited_subnet(each, supernet, dataset) for each in architectures]
    candidates += [subnet_from_scratch(each.id, each, 10) for each in architectures]
    candidates += [hand_designed(Reference("resnet10t", 32), 10, None)]
    one_by_one = [candidate.make(3).state_dict() for candidate in candidates]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda candidate: candidate.make(3).state_dict(), candidates))
    for expected, found in zip(one_by_one, together, strict=True):
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_candidates_go_to_workers_and_are_made_there_alike(workspace):
    import cloudpickle

    supernet, dataset = load_supernet(RUN), load_dataset("digits", 0)
    largest = supernet.space.largest()
    for candidate in (inherited_subnet(largest, supernet, dataset), subnet_from_scratch("scratch", largest, 10)):
        there = cloudpickle.loads(cloudpickle.dumps(candidate))
        expected, found = candidate.make(3).state_dict(), there.make(3).state_dict()
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
