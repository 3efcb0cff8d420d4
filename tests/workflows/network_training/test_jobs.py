import threading
from dataclasses import asdict

import pytest
from torch import nn

from nas.progress import Console
from nas.training.network import Recipe
from nas.workflows.network_training.jobs import TrainingJob, matching_rows, side_by_side, train_each

QUIET = Console(quiet=True)


def training(identity, seed=0, steps=3, settings=None, train=None):
    def walk(model, on_step):
        for step in range(steps):
            on_step(step + 1, steps)
        return f"{identity} trained"

    settings = {"settings": asdict(Recipe())} if settings is None else settings
    return TrainingJob(id=identity, seed=seed, steps=steps, make=nn.Identity, train=train or walk, settings=settings)


def test_what_is_written_down_is_not_trained_again(tmp_path):
    judged = []

    def judge(trained):
        judged.append(trained)
        return {"accuracy": 0.5}

    path = tmp_path / "trained.jsonl"
    train_each([training("a"), training("b")], judge, path, "train", QUIET)
    known = train_each([training("b"), training("c"), training("a", seed=1)], judge, path, "train", QUIET)
    assert sorted(judged) == ["a trained", "a trained", "b trained", "c trained"]
    assert set(known) == {"b/0", "c/0", "a/1"}


def test_a_recipe_written_before_a_setting_existed_is_the_same_while_that_is_neutral():
    older = asdict(Recipe())
    del older["sparsity"], older["grow_images"]
    row = {"id": "a", "seed": 0, "settings": older, "accuracy": 0.9}
    assert matching_rows([row], [training("a")]) == {"a/0": row}
    for changed in (Recipe(sparsity="2:4"), Recipe(learning_rate=0.1)):
        assert matching_rows([row], [training("a", settings={"settings": asdict(changed)})]) == {}
    assert matching_rows([row], [training("a", seed=1)]) == {}


def test_where_one_fails_the_other_ends_at_its_next_step():
    running, begun = threading.Event(), []

    def endless(model, on_step):
        running.set()
        while True:
            on_step(1, 2)

    def fails(model, on_step):
        running.wait(5)
        raise ValueError("no")

    def never(model, on_step):
        begun.append("third")

    wanted = [training("a", train=endless), training("b", train=fails), training("c", train=never)]
    with pytest.raises(ValueError, match="no"):
        side_by_side(wanted, "train", QUIET, lambda name, trained: None)
    assert begun == []
