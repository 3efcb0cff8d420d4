"""A run whose picks have bits, from training to comparison: what is judged, measured and kept is the integer file."""

import csv
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from nas.export.kernels import integer_kernels
from nas.hardware.backends import onnxruntime as onnx_runtime
from nas.hardware.table.latency_table import LatencyTable
from nas.progress import Console
from nas.run.search_settings import Limits, SearchSettings
from nas.space.bits import uniform
from nas.workflows.compare.command import compare
from nas.workflows.finetune import finetune, load_model
from nas.workflows.requests import CompareRequest, FinetuneRequest, SearchRequest, TrainRequest
from nas.workflows.search.command import search
from nas.workflows.search.initial import initial_architectures
from nas.workflows.train_supernet.command import train_supernet

RUN = Path("runs/bits")
QUIET = Console(quiet=True)
CODES = ("QuantizeLinear", "DequantizeLinear")


@pytest.fixture
def searched(toy_bits, toy_bits_file, write_toy_table, tmp_path, monkeypatch):
    """A folder whose run has a supernet with bits and a front; give the ids on it that have bits."""
    monkeypatch.chdir(tmp_path)
    write_toy_table(tmp_path, space=toy_bits, dtype="int8")
    recipe = ["epochs=2", "learning_rate=0.01", "ema_share=0.1"]
    now = datetime(2026, 1, 1)
    train_supernet(TrainRequest(space=str(toy_bits_file), data="digits", run=RUN, overrides=recipe, now=now), QUIET)
    settings = SearchSettings(limits=Limits(max_latency_ms=5.0), budget=20)
    search(SearchRequest(run=RUN, devices=["cpu"], settings=settings), QUIET)
    front = json.loads((RUN / "search/cpu/front.json").read_text())["front"]
    coded = [row["id"] for row in front if '"bits":8' in row["architecture"] or '"bits":4' in row["architecture"]]
    assert coded
    return coded


def test_a_search_over_bits_begins_with_its_ends_in_every_uniform_width(toy_bits, write_toy_table, tmp_path):
    table = LatencyTable.load(f"{write_toy_table(tmp_path, space=toy_bits, dtype='int8')}.csv")
    first = initial_architectures(table.over(toy_bits))
    assert len(set(first)) == len(first) and all(each in toy_bits for each in first)
    for end in first[0], toy_bits.smallest(), toy_bits.largest():
        assert {uniform(toy_bits, end, bits) for bits in ("fp", 8, 4)} <= set(first)


def nodes(model):
    return {node.op_type for node in onnx.load_from_string(model).graph.node}


@pytest.mark.slow
def test_a_pick_with_bits_is_trained_exported_and_measured_as_integers_and_hand_designed_models_stay_float(
    searched, monkeypatch
):
    picked = searched[0]
    recipe = ["epochs=1", "batch_size=128", "ema_share=0.1"]
    finetune(FinetuneRequest(run=RUN, picks=[picked], overrides=recipe), QUIET)

    folder = RUN / "models" / picked
    model, described = load_model(folder)
    file = (folder / "model.onnx").read_bytes()
    assert described.bits.integer_kernels == described.bits.promised_kernels == dict(integer_kernels(file))
    assert described.bits.file_bytes == len(file) == pytest.approx(described.size_bytes, rel=0.05)
    side = described.resolution
    images = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    found = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)

    opened = []
    run_onnx = onnx_runtime.run_onnx

    def watched(model, shape):
        opened.append(model)
        return run_onnx(model, shape)

    monkeypatch.setattr(onnx_runtime, "run_onnx", watched)
    compare(CompareRequest(run=RUN, device="cpu", models=["resnet10t@32"]), QUIET)
    assert file in opened  # what was measured is what was kept
    with (RUN / "compare.csv").open(newline="") as lines:
        rows = {row["id"]: row for row in csv.DictReader(lines)}
    assert {picked, "resnet10t@32"} < rows.keys()
    assert all(row["provenance"] == "measured" and float(row["latency_ms"]) > 0 for row in rows.values())
    largest = max(opened, key=len)  # the hand-designed one, of five million weights in four bytes each
    assert len(largest) > 4 * 4_500_000 and not nodes(largest) & set(CODES)
