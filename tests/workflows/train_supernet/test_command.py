import contextlib
import dataclasses
import json
import shlex
import shutil
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from nas.cli import app
from nas.data.datasets import load_dataset
from nas.errors import NasError
from nas.files import read_json, write_json
from nas.progress import Console
from nas.run.run import load_supernet
from nas.space.search_space import SearchSpace
from nas.supernet.slicing import take_slice
from nas.supernet.supernet import Supernet
from nas.training.supernet import loop as training_module
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.requests import TrainRequest
from nas.workflows.train_supernet import command as module
from nas.workflows.train_supernet import epochs as epochs_module
from nas.workflows.train_supernet.command import train_supernet

EPOCHS = 3
QUIET = Console(quiet=True)
SMALL = {"epochs": EPOCHS, "batch_size": 256}  # five steps an epoch


def train(run, *, space="toy", data="digits", seed=0, resume=False, overrides=(), settings=SMALL, console=QUIET):
    request = TrainRequest(
        space=space,
        data=data,
        run=Path(run),
        seed=seed,
        resume=resume,
        overrides=overrides,
        settings=settings,
        now=datetime(2026, 1, 2, 3, 4, 5),
    )
    return train_supernet(request, console).to_json()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run of three epochs that nothing disturbed, and what the training gave."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    return run, train(run)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_weights(one, other):
    return (one / "supernet.safetensors").read_bytes() == (other / "supernet.safetensors").read_bytes()


def log_without_seconds(run):
    rows = [json.loads(line) for line in (run / "training.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


class Stop(Exception):
    """Ends a training in its middle."""


def test_the_run_has_the_files_of_the_contract_and_no_pickle(uninterrupted):
    run, result = uninterrupted
    assert {path.name for path in run.iterdir()} == {
        *("run.json", "config.yaml", "supernet.safetensors", "training.jsonl", ".lock"),
        *("training_state.safetensors", "training_state.previous.safetensors"),
    }
    assert result["epochs"] == EPOCHS
    assert load_supernet(run).space == SearchSpace.load("toy")


def test_the_manifest_says_what_was_done(uninterrupted):
    manifest = json.loads((uninterrupted[0] / "run.json").read_text())
    assert manifest["created"] == "2026-01-02T03:04:05"
    assert (manifest["seed"], manifest["space"], manifest["data"]) == (0, "toy", "digits")
    assert manifest["space_definition"] == SearchSpace.load("toy").to_dict()
    assert manifest["space_hash"] == SearchSpace.load("toy").hash
    assert SupernetRecipe(**manifest["recipe"]) == SupernetRecipe(**SMALL)
    assert {"python", "torch", "timm", "numpy"} <= set(manifest["versions"])
    assert manifest["machine"]["cores"] >= 1


def test_the_command_in_the_manifest_trains_the_same_again(uninterrupted, here, nas):
    command = shlex.split(json.loads((uninterrupted[0] / "run.json").read_text())["command"])
    assert command[:2] == ["nas", "train-supernet"]
    assert nas(*command[1:], "--run", "again", "--quiet").code == 0
    assert same_weights(uninterrupted[0], Path("again"))


def test_config_yaml_trains_the_same_again(uninterrupted, here, nas):
    shutil.copy(uninterrupted[0] / "config.yaml", here / "saved.yaml")
    assert nas("train-supernet", "--config", "saved.yaml", "--run", "again", "--quiet").code == 0
    assert same_weights(uninterrupted[0], Path("again"))
    assert yaml.safe_load(Path("again/config.yaml").read_text()) == yaml.safe_load(Path("saved.yaml").read_text())


def test_every_epoch_is_logged_with_the_accuracy_of_three_subnets(uninterrupted):
    run, result = uninterrupted
    rows = log_without_seconds(run)
    assert [(row["epoch"], row["images"]) for row in rows] == [(1, 1280), (2, 2560), (3, 3840)]
    for row in rows:
        assert all(0 <= row[f"accuracy_{name}"] <= 1 for name in ("smallest", "largest", "random"))
    assert result["accuracy_largest"] == rows[-1]["accuracy_largest"]


def test_a_finished_training_whose_log_lost_its_end_says_so(uninterrupted, here):
    run = shutil.copytree(uninterrupted[0], here / "run")
    lines = (run / "training.jsonl").read_text().splitlines(keepends=True)
    for kept in ("".join(lines[:-1]), ""):
        (run / "training.jsonl").write_text(kept)
        with pytest.raises(NasError, match=r"lost what epoch 3.*weights are whole"):
            train(run, resume=True)
        assert same_weights(run, uninterrupted[0])


@pytest.mark.parametrize("steps", [3, 8])  # within the first epoch, before any checkpoint; within the second
def test_an_interrupted_training_is_resumed_to_the_same_bytes(uninterrupted, here, monkeypatch, steps):
    train_epoch = epochs_module.train_epoch

    def broken_off(training, batches, on_step):
        def count(step):
            on_step(step)
            if step == steps:
                raise Stop

        return train_epoch(training, batches, count)

    monkeypatch.setattr(epochs_module, "train_epoch", broken_off)
    with pytest.raises(Stop):
        train("run")
    monkeypatch.setattr(epochs_module, "train_epoch", train_epoch)
    train("run", resume=True)
    assert same_weights(uninterrupted[0], Path("run"))
    assert log_without_seconds(Path("run")) == log_without_seconds(uninterrupted[0])


@pytest.mark.parametrize("writes", [7, 8, 9])  # of three an epoch, after one at the start: those of the last one
def test_a_kill_between_the_writes_of_an_epoch_costs_nothing(uninterrupted, here, monkeypatch, writes):
    done = []

    def limited(write):
        def broken_off(path, content):
            if len(done) == writes:
                raise Stop
            done.append(path)
            write(path, content)

        return broken_off

    with monkeypatch.context() as patch:
        patch.setattr(epochs_module, "append_log", limited(epochs_module.append_log))
        patch.setattr(epochs_module, "write_bytes", limited(epochs_module.write_bytes))
        patch.setattr(epochs_module, "write_checkpoint", limited(epochs_module.write_checkpoint))
        with pytest.raises(Stop):
            train("run")
    train("run", resume=True)
    assert same_weights(uninterrupted[0], Path("run"))
    assert log_without_seconds(Path("run")) == log_without_seconds(uninterrupted[0])


@pytest.mark.slow
def test_a_training_killed_at_five_random_moments_gives_the_bytes_of_an_uninterrupted_one(uninterrupted, here, spawn):
    words = ["train-supernet", "--space", "toy", "--data", "digits", "--run", "run", "--epochs", EPOCHS]
    words += ["--set", "batch_size=256"]
    rng = np.random.default_rng(time.time_ns())  # every run of this test tries other moments
    for _ in range(5):
        process = spawn(*words, *resume_option(here), cwd=here)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=rng.uniform(1.0, 9.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = spawn(*words, *resume_option(here), cwd=here)
    assert finished.wait() == 0, finished.stderr.read()
    assert same_weights(uninterrupted[0], here / "run")
    assert log_without_seconds(here / "run") == log_without_seconds(uninterrupted[0])


def resume_option(folder):
    return ["--resume"] if (folder / "run" / "run.json").exists() else []


def diverge_at(monkeypatch, times, step=7):
    """Make the loss of a step NaN the first `times` times that it is trained."""
    train_step, left = training_module.train_step, [times]

    def broken(training, images, labels):
        if training.step == step and left[0]:
            left[0] -= 1
            images = images * float("nan")
        return train_step(training, images, labels)

    monkeypatch.setattr(training_module, "train_step", broken)


def test_a_divergence_rolls_back_to_the_last_epoch_with_half_the_rate_and_is_counted(here, monkeypatch, capsys):
    diverge_at(monkeypatch, times=2)
    result = train("run", console=Console())
    assert result["epochs"] == EPOCHS
    assert [row["rollbacks"] for row in log_without_seconds(Path("run"))] == [0, 2, 2]
    told = capsys.readouterr().err
    assert "back to epoch 1 with 0.5 times the rate (1)" in told and "0.25 times the rate (2)" in told
    assert all(tensor.isfinite().all() for tensor in load_supernet(Path("run")).state_dict().values())


def test_a_divergence_in_the_first_epoch_goes_back_to_the_start(here, monkeypatch):
    diverge_at(monkeypatch, times=1, step=2)
    assert train("run")["rollbacks"] == 1


def test_the_fourth_divergence_ends_the_training_with_exit_code_3(here, monkeypatch, nas):
    diverge_at(monkeypatch, times=4)
    words = ["--space", "toy", "--data", "digits", "--epochs", EPOCHS, "--set", "batch_size=256", "--quiet"]
    outcome = nas("train-supernet", *words, "--run", "run")
    assert outcome.code == 3
    assert "after 3 roll-backs" in outcome.err and "--set learning_rate=0.001" in outcome.err


def test_a_damaged_checkpoint_costs_an_epoch_and_is_told(uninterrupted, here, capsys):
    run = shutil.copytree(uninterrupted[0], here / "run")
    state = run / "training_state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    train(run, resume=True, console=Console())
    assert "trying the state before it" in capsys.readouterr().err
    assert same_weights(uninterrupted[0], run)
    assert log_without_seconds(run) == log_without_seconds(uninterrupted[0])


def test_resuming_a_finished_training_changes_nothing(uninterrupted, here):
    run = shutil.copytree(uninterrupted[0], here / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert train(run, resume=True)["accuracy_largest"] == uninterrupted[1]["accuracy_largest"]
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"overrides": ["epochs=4"]}, "recipe = .*'epochs': 3.*not .*'epochs': 4"),
        ({"data": "cluttered-digits"}, "data = digits, not cluttered-digits"),
    ],
)
def test_resuming_with_other_settings_is_refused(uninterrupted, here, other, named):
    run = shutil.copytree(uninterrupted[0], here / "run")
    with pytest.raises(NasError, match=named):
        train(run, resume=True, **other)
    assert same_weights(uninterrupted[0], run)


def test_resuming_with_a_space_that_changed_since_is_refused(uninterrupted, here):
    run = shutil.copytree(uninterrupted[0], here / "run")
    definition = {**SearchSpace.load("toy").to_dict(), "resolution": [16]}
    stages = [{name: value for name, value in stage.items() if name != "bits"} for stage in definition["stages"]]
    Path("toy.yaml").write_text(yaml.safe_dump({**definition, "stages": stages}))
    with pytest.raises(NasError, match="space_hash"):
        train(run, space="toy.yaml", resume=True)


def test_a_folder_that_holds_a_run_is_not_overwritten(uninterrupted, here):
    run = shutil.copytree(uninterrupted[0], here / "run")
    with pytest.raises(NasError, match=r"already holds a run.*--resume"):
        train(run)
    assert same_weights(uninterrupted[0], run)


def test_too_few_images_for_one_batch_are_refused(here):
    with pytest.raises(NasError, match=r"fewer images than a batch of 5000.*--set batch_size"):
        train("run", settings={"epochs": 1, "batch_size": 5000})


def test_training_never_sees_the_test_split(here, monkeypatch):
    def guarded(name, seed):
        def forbidden():
            raise AssertionError("a training asked for the test split")

        return dataclasses.replace(load_dataset(name, seed), make_test=forbidden)

    monkeypatch.setattr(module, "load_dataset", guarded)
    assert train("run", settings={"epochs": 1, "batch_size": 512})["epochs"] == 1


def test_the_command_line_offers_what_can_be_resumed():
    import typer

    from nas.cli import RESUMABLE

    commands = typer.main.get_command(app).commands
    assert {name for name, each in commands.items() if "resume" in {p.name for p in each.params}} == set(RESUMABLE)


def test_a_warm_start_begins_with_the_weights_of_a_run(uninterrupted, here, capsys):
    from nas.workflows.train_supernet.warm_start import warm_start

    supernet = load_supernet(uninterrupted[0])
    fresh = Supernet(supernet.space)
    assert warm_start(fresh, uninterrupted[0]) == 1.0
    assert all(torch.equal(fresh.state_dict()[name], each) for name, each in supernet.state_dict().items())
    usual = train("usual", settings={"epochs": 1, "batch_size": 256})
    warm = train("warm", settings={"epochs": 1, "batch_size": 256, "warm_start": str(uninterrupted[0])})
    assert warm["loss"] < usual["loss"]


def test_a_warm_start_takes_slices_of_a_larger_supernet_and_refuses_what_has_none(here):
    from nas.nn.tensor_file import save_tensors
    from nas.workflows.train_supernet.warm_start import warm_start

    toy = SearchSpace.load("toy")
    stages = tuple(dataclasses.replace(stage, widths=(2 * max(stage.widths),)) for stage in toy.stages)
    large = Supernet(dataclasses.replace(toy, stages=stages))
    Path("large.safetensors").write_bytes(save_tensors(large.state_dict()))
    small = Supernet(toy)
    assert warm_start(small, Path("large.safetensors")) == 1.0
    for name, tensor in small.named_parameters():
        assert torch.equal(tensor, take_slice(large.state_dict()[name], tensor.shape)), name
    Path("other.safetensors").write_bytes(save_tensors({"other": torch.zeros(3)}))
    with pytest.raises(NasError, match="no tensor that fits"):
        warm_start(small, Path("other.safetensors"))


def test_a_training_whose_source_of_weights_changed_is_not_resumed(uninterrupted, here):
    source = shutil.copytree(uninterrupted[0], here / "source")
    settings = {"epochs": 1, "batch_size": 256, "warm_start": "source"}
    train("run", settings=settings)
    (source / "supernet.safetensors").write_bytes(b"something else")
    with pytest.raises(NasError, match="sources"):
        train("run", settings=settings, resume=True)


def test_subnets_can_be_drawn_by_the_latency_of_a_device(here, write_toy_table):
    write_toy_table(here)
    settings = {"epochs": 1, "batch_size": 256, "sampling": "complexity"}
    train("macs", settings=settings)
    train("latency", settings={**settings, "sampling_device": "cpu"})
    assert not same_weights(Path("macs"), Path("latency"))


def test_a_supernet_is_shifted_to_the_front_of_a_search(searched_folder, monkeypatch):
    monkeypatch.chdir(searched_folder)
    shift = {"epochs": 1, "batch_size": 256, "warm_start": "runs/tiny", "sampling": "front", "front": "runs/tiny"}
    train("shifted", settings=shift)
    manifest = json.loads(Path("shifted/run.json").read_text())
    assert manifest["sources"].keys() == {"warm_start", "front"}
    found = Path("runs/tiny/search/cpu/front.json")
    before = found.read_text()
    front = read_json(found)
    write_json(found, {**front, "front": front["front"][:1]})
    with pytest.raises(NasError, match="was started with sources"):
        train("shifted", settings=shift, resume=True)
    found.write_text(before)
    with pytest.raises(NasError, match="go together"):
        train("half", settings={**shift, "front": ""})
    with pytest.raises(NasError, match=r"front of .* is not one of space 'scan-mix-tiny'"):
        train("other", space="scan-mix-tiny", settings={**shift, "warm_start": ""})


RELATIVES = """
name: relatives
num_classes: 10
resolution: [8]
stages:
  - width: [8]
    depth: [1]
    blocks:
      gated-conv: {kernel: [3, 5], expansion: [1]}
      ssd: {expansion: [1], heads: [4], state: [4], kernel: [3], directions: [[h]], mode: [group]}
"""


def test_kinds_in_conflict_are_split_after_the_epoch_that_is_asked_for_and_resumed_as_such(here, monkeypatch):
    monkeypatch.setattr(epochs_module, "cosines", lambda supernet, batches, seed: dict.fromkeys(supernet.aliases, -0.1))
    settings = {**SMALL, "split_after": 0.3, "kernel_matrices": True, "experts": 2}
    (here / "relatives.yaml").write_text(RELATIVES)
    train("whole", space="relatives.yaml", settings=settings)
    supernet = load_supernet(Path("whole"))
    assert not supernet.aliases and len(supernet.sharing.split) == len(Supernet(supernet.space).aliases) > 0
    assert supernet.sharing.experts == 2

    train_epoch = epochs_module.train_epoch

    def broken_off(training, batches, on_step):
        if training.epoch == 2:
            raise Stop  # after the split, which the checkpoint of the first epoch holds
        return train_epoch(training, batches, on_step)

    monkeypatch.setattr(epochs_module, "train_epoch", broken_off)
    with pytest.raises(Stop):
        train("run", space="relatives.yaml", settings=settings)
    monkeypatch.setattr(epochs_module, "train_epoch", train_epoch)
    train("run", space="relatives.yaml", resume=True, settings=settings)
    assert same_weights(Path("whole"), Path("run"))


def test_nothing_is_split_where_gradients_agree(here, monkeypatch):
    monkeypatch.setattr(epochs_module, "cosines", lambda supernet, batches, seed: dict.fromkeys(supernet.aliases, 0.1))
    (here / "relatives.yaml").write_text(RELATIVES)
    train("run", space="relatives.yaml", settings={**SMALL, "split_after": 0.3})
    assert load_supernet(Path("run")).sharing.split == frozenset()


def test_a_training_by_importance_of_images_is_resumed_to_the_same_bytes(here, monkeypatch):
    settings = {**SMALL, "image_importance": True}
    train("whole", settings=settings)
    train_epoch = epochs_module.train_epoch

    def broken_off(training, batches, on_step):
        if training.epoch == 1:
            raise Stop
        return train_epoch(training, batches, on_step)

    monkeypatch.setattr(epochs_module, "train_epoch", broken_off)
    with pytest.raises(Stop):
        train("run", settings=settings)
    monkeypatch.setattr(epochs_module, "train_epoch", train_epoch)
    train("run", resume=True, settings=settings)
    assert same_weights(Path("whole"), Path("run"))
