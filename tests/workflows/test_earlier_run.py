"""Every command that reads a run reads one that was made before the code moved into its present rooms."""

import json
import shutil
from pathlib import Path

import pytest

from nas.run.run import Run

EARLIER = Path(__file__).parents[1] / "run" / "earlier"
RUN = ("--run", "runs/tiny", "--quiet")


@pytest.fixture
def earlier(tmp_path):
    """A copy of the earlier run's folder of the test's own: the current directory."""
    for name in ("runs", "latency_tables"):
        shutil.copytree(EARLIER / name, tmp_path / name)
    return tmp_path


def test_its_parts_are_read_as_values(earlier):
    run = Run.find()
    assert (run.manifest.space, run.manifest.data, run.manifest.number) == ("toy", "digits", 1)
    assert run.supernet().space == run.space()
    assert [search.path.name for search in run.searches()] == ["a100", "cpu"]
    search = run.newest_search()
    assert search.record().device == "a100" and search.record().after == ("cpu",)
    assert len(search.evaluations()) == search.summary().num_evaluations == 40
    assert search.front() == list(search.summary().front)
    assert [json.loads(json.dumps(row.to_row())) for row in search.front()] == json.loads(
        search.summary_path.read_text()
    )["front"]


@pytest.mark.parametrize(
    "words",
    [
        ("show", "run"),
        ("show", "run", "tiny"),
        ("report", *RUN),
        ("search", "--device", "a100", "--device", "cpu", "--budget", 8, *RUN),
        ("export", "--pick", "best", "--format", "onnx", "--output", "out", *RUN),
        ("finetune", "--pick", "smallest", "--epochs", 1, "--set", "batch_size=256", *RUN),
        ("compare", "--device", "a100", "--models", "resnet10t@32", *RUN),
        ("audit", "--subnets", 3, "--epochs", 1, "--device", "a100", *RUN),
        ("train-supernet", "--resume", *RUN),
        ("profile", "--device", "box", "--validate", 0, "--backend", "eager", *RUN),
    ],
    ids=lambda words: "-".join(map(str, words[:2])),
)
def test_every_command_reads_it(words, earlier, nas):
    outcome = nas(*words)
    assert outcome.code in (0, 4), outcome.err  # 4: so small an audit or table may fail its check
