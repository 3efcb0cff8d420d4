import re
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.progress import Console
from nas.workflows.dry_run import plans as rehearsal
from nas.workflows.dry_run.plans import plan_compare
from nas.workflows.requests import CompareRequest

SMALL = ("--set", "batch_size=256")
COMMANDS = {
    "train-supernet": ("--space", "toy", "--data", "digits", "--epochs", 2, *SMALL),
    "profile": ("--device", "cpu", "--space", "toy"),
    "search": ("--device", "cpu", "--budget", 20),
    "finetune": ("--pick", "best", "--pick", "smallest", "--epochs", 2, *SMALL),
    "compare": ("--models", "resnet10t@32,mobilenet"),
    "audit": ("--subnets", 3, "--epochs", 1, *SMALL),
    "export": ("--pick", "best", "--format", "onnx"),
}


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(nas, finished, one_json, command):
    before = everything_below(finished)
    told = nas(command, *COMMANDS[command], "--dry-run", "--json")
    assert told.code == 0, told.err
    plan = one_json(told.out)["dry_run"]
    assert everything_below(finished) == before
    assert command == "export" or 0 < plan["estimated_seconds"] < 3600


def test_for_a_person_the_time_is_in_words(nas, finished):
    *_, time, last = nas("finetune", *COMMANDS["finetune"], "--dry-run", "--quiet").out.splitlines()
    assert re.fullmatch(r"estimated time: [0-9.]+ (s|min) on this machine as busy as it is", time)
    assert last == "nothing was done: --dry-run"


def test_a_dry_training_tells_sizes_settings_and_what_is_reachable(nas, finished, one_json):
    plan = one_json(nas("train-supernet", *COMMANDS["train-supernet"], "--dry-run", "--json").out)["dry_run"]
    assert plan["size"] == 48
    assert plan["settings"]["batch_size"] == 256
    assert plan["steps"] == 2 * (plan["images"] // 256)
    assert "table of measured blocks" in plan["fastest"] and " us (" in plan["slowest"]


def test_a_dry_run_refuses_what_the_command_would_refuse(nas, workspace):
    for words, said in (
        (("finetune",), "no finished search"),
        (("train-supernet", "--space", "toy", "--data", "digits", "--set", "epoch=3"), "Did you mean 'epochs'"),
        (("profile", "--space", "toy", "--dtype", "fp33"), "not measured in fp33"),
        (("export", "--format", "onx"), "Did you mean 'onnx'"),
    ):
        told = nas(*words, "--dry-run")
        assert told.code == 3
        assert said in told.err


def test_further_seeds_train_the_subnets_again_too(finished, monkeypatch):
    monkeypatch.setattr(rehearsal, "trainings_seconds", lambda trainings: 1.0)
    request, console = CompareRequest(device="cpu", models=["resnet10t@32"]), Console(quiet=True)
    one, two = (plan_compare(replace(request, seeds=seeds), console)["trainings"] for seeds in (1, 2))
    assert (one, two) == (2, 2 + 4)  # the model and the control; with the second seed the two subnets too
    with pytest.raises(NasError, match="resnet10tt"):
        plan_compare(replace(request, models=["resnet10tt"]), console)
