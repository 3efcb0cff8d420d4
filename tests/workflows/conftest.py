"""The tiny run with every later command done once: searched, fine-tuned, compared."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

RUN = Path("runs/tiny")
RECIPE = ["epochs=1", "batch_size=128", "ema_share=0.1"]


@pytest.fixture(scope="session")
def searched_folder(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose run has a finished search for `cpu` over the whole toy space."""
    from nas.progress import Console
    from nas.run.search_settings import Limits, SearchSettings
    from nas.workflows.requests import SearchRequest
    from nas.workflows.search.command import search

    folder = shutil.copytree(trained_folder, tmp_path_factory.mktemp("searched") / "folder")
    settings = SearchSettings(limits=Limits(max_latency_ms=5.0), budget=100)
    with contextlib.chdir(folder):
        search(SearchRequest(run=RUN, devices=["cpu"], settings=settings), Console(quiet=True))
    return folder


@pytest.fixture(scope="session")
def finetuned(searched_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder whose run has its most accurate and its fastest subnet fine-tuned, and what the workflow gave."""
    from nas.progress import Console
    from nas.workflows.finetune import finetune
    from nas.workflows.requests import FinetuneRequest

    folder = shutil.copytree(searched_folder, tmp_path_factory.mktemp("finetuned") / "folder")
    with contextlib.chdir(folder):
        picks = ["best", "smallest"]
        request = FinetuneRequest(run=RUN, picks=picks, overrides=RECIPE)
        return folder, finetune(request, Console(quiet=True)).to_json()


@pytest.fixture(scope="session")
def compared(finetuned: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder whose run is compared with resnet10t at 32 x 32 pixels, and what the workflow gave."""
    from nas.progress import Console
    from nas.workflows.compare.command import compare
    from nas.workflows.requests import CompareRequest

    folder = shutil.copytree(finetuned[0], tmp_path_factory.mktemp("compared") / "folder")
    with contextlib.chdir(folder):
        models = ["resnet10t@32"]
        request = CompareRequest(run=RUN, device="cpu", models=models)
        return folder, compare(request, Console(quiet=True)).to_json()


@pytest.fixture
def finished(compared: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished run's folder of the test's own, and the current directory."""
    folder = shutil.copytree(compared[0], tmp_path / "finished")
    monkeypatch.chdir(folder)
    return folder
