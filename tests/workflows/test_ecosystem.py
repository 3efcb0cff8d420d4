"""What other tools read of a run, as the docs say it."""

import json
from pathlib import Path

import pandas as pd
import pytest

RUN = Path("runs/tiny")


def test_pandas_reads_every_result_in_one_line(finished):
    evaluations = pd.read_json(RUN / "search/cpu/evaluations.jsonl", lines=True)
    front = pd.read_csv(RUN / "search/cpu/front.csv")
    compared = pd.read_csv(RUN / "compare.csv")
    training = pd.read_json(RUN / "training.jsonl", lines=True)
    assert len(evaluations) == 48
    assert set(front.id) <= set(evaluations.id)
    assert front.latency_ms.is_monotonic_increasing
    assert evaluations.accuracy.between(0, 1).all() and compared.accuracy.between(0, 1).all()
    assert list(training.epoch) == [1, 2]
    assert json.loads(front.architecture[0])["stages"]


@pytest.mark.filterwarnings("default")
def test_optuna_opens_the_trials_of_a_tuning(nas, finished):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    tuned = nas("finetune", "--pick", "smallest", "--trials", 2, "--epochs", 1, "--set", "batch_size=512", "--quiet")
    assert tuned.code == 0, tuned.err
    storage = JournalStorage(JournalFileBackend(str(RUN / "tuning/trials.journal")))
    (study,) = optuna.study.get_all_study_summaries(storage)
    assert study.n_trials == 2
