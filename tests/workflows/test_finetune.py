import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from nas.data.datasets import load_dataset
from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.hardware.table.table_file import read_table
from nas.progress import Console
from nas.space.cost import architecture_cost
from nas.workflows.finetune import finetune, load_model, read_model
from nas.workflows.requests import FinetuneRequest

RUN = Path("runs/tiny")


def front():
    return json.loads((RUN / "search" / "cpu" / "front.json").read_text())["front"]


def run_finetune(*picks, overrides=("epochs=1", "batch_size=256")):
    return finetune(FinetuneRequest(run=RUN, picks=picks, overrides=overrides), Console(quiet=True)).to_json()


def test_every_model_has_the_files_of_the_contract(finished, finetuned):
    rows = front()
    expected = {max(rows, key=lambda row: row["accuracy"])["id"], rows[0]["id"]}
    assert {model["id"] for model in finetuned[1]["models"]} == expected
    assert {path.name for path in (RUN / "models").iterdir()} == expected
    for folder in (RUN / "models").iterdir():
        assert {path.name for path in folder.iterdir()} == {
            "model.safetensors",
            "model.json",
            "model.onnx",
            "recipe.yaml",
        }


def test_what_model_json_says_can_be_measured_again(finished):
    dataset = load_dataset("digits", 0)
    for folder in (RUN / "models").iterdir():
        model, described = load_model(folder)
        assert described.accuracy == model_accuracy(model, dataset.test())
        assert described.validation_accuracy == model_accuracy(model, dataset.validation())
        architecture = described.architecture
        cost = architecture_cost(architecture, 10)
        assert (described.num_params, described.macs) == (cost.num_params, cost.macs)
        assert described.num_params == sum(parameter.numel() for parameter in model.parameters())
        assert described.id == architecture.id
        row = next(row for row in front() if row["id"] == architecture.id)
        assert described.inherited_accuracy == row["accuracy"]
        assert described.latency_ms == row["latency_ms"]


def test_the_reloaded_weights_and_the_onnx_file_give_the_same_logits(finished):
    for folder in (RUN / "models").iterdir():
        model, described = load_model(folder)
        size = described.resolution
        images = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {"images": images})
        with torch.no_grad():
            np.testing.assert_allclose(logits, model(torch.from_numpy(images)).numpy(), atol=1e-4)


def test_fine_tuning_starts_from_the_inherited_weights_and_its_images_are_counted(finished):
    (model,) = run_finetune("best", overrides=["epochs=1", "batch_size=256", "learning_rate=0"])["models"]
    assert model["inherited_accuracy"] > 0.4  # chance is 0.1
    assert model["validation_accuracy"] == pytest.approx(model["inherited_accuracy"], abs=0.1)
    assert (model["epochs"], model["images"]) == (1, 1280)


def test_the_test_split_is_read_once_per_model(finished, monkeypatch):
    reads = []

    def counted(name, seed):
        dataset = load_dataset(name, seed)
        return dataclasses.replace(dataset, make_test=lambda: reads.append(name) or dataset.make_test())

    monkeypatch.setattr("nas.data.datasets.load_dataset", counted)
    assert len(run_finetune("knee", overrides=["epochs=1", "batch_size=512"])["models"]) == 1
    assert reads == ["digits"]


def test_the_same_seed_gives_the_same_weights(finished):
    weights = RUN / "models" / run_finetune("smallest")["models"][0]["id"] / "model.safetensors"
    first = weights.read_bytes()
    run_finetune("smallest")
    assert weights.read_bytes() == first


def test_an_unknown_pick_names_the_close_match_and_writes_nothing(finished):
    before = sorted(path for path in RUN.rglob("*") if path.is_file())
    with pytest.raises(NasError, match=r"the front has no 'bst'.*Did you mean 'best'"):
        run_finetune("bst")
    close = front()[0]["id"]
    with pytest.raises(NasError, match=f"Did you mean '{close}'"):
        run_finetune(close[:-1] + "x")
    assert sorted(path for path in RUN.rglob("*") if path.is_file()) == before


def test_a_run_without_a_search_is_refused(workspace):
    with pytest.raises(NasError, match=r"no finished search.*nas search"):
        run_finetune("best")


def test_the_latency_of_a_model_is_the_sum_of_its_table_rows(finished):
    from nas.space.operator import operators

    header, rows = read_table(Path("latency_tables/cpu/onnxruntime-fp32-b1-t1-toy.json"))
    for path in (RUN / "models").glob("*/model.json"):
        described = read_model(path.parent)
        placed = operators(described.architecture, 10)
        total = header.null_ms + sum(rows[op.key].ms for op in placed)
        assert described.latency_ms == pytest.approx(header.correction.b * total)
