"""The docs are right: commands parse, examples run, names and links exist."""

from __future__ import annotations

import contextlib
import importlib
import re
import shlex
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from nas.space.search_space import SearchSpace

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
MIXERS = ROOT / "docs" / "mixers.md"
LATENCY = ROOT / "docs" / "latency.md"
BITS = ROOT / "docs" / "bits.md"
TRAINING = ROOT / "docs" / "training.md"
EXPORT = ROOT / "docs" / "export.md"
COMPARISON = ROOT / "docs" / "comparison.md"
CLUSTER = ROOT / "docs" / "cluster.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
SPACES = ROOT / "docs" / "search-spaces.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")), *DECISIONS]


def fenced(page: Path, language: str) -> list[str]:
    """Give the fenced code blocks of a page that are in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def command_lines(program: str) -> list[str]:
    """Give every line of the pages' bash blocks that calls `program`."""
    lines = [line for page in PAGES for block in fenced(page, "bash") for line in block.splitlines()]
    return list(dict.fromkeys(line.strip() for line in lines if line.split()[:1] == [program]))


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@lru_cache(maxsize=1)
def command_line() -> Any:
    """Give the real command line as click sees it."""
    import typer

    from nas.cli import app

    return typer.main.get_command(app)


def parse(line: str) -> str:
    """Parse a line with the real command line, run nothing, and give the command's name."""
    program, *words = shlex.split(line, comments=True)
    assert program == "nas"
    group = command_line()
    with group.make_context("nas", [*words]) as context:
        name, command, rest = group.resolve_command(context, words)
        command.make_context(name, rest, parent=context).close()
    return str(name)


@pytest.mark.parametrize("line", command_lines("nas"))
def test_every_command_in_the_docs_parses(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("line", ["nas serch --device cpu", "nas search --devce cpu", "nas search --max-latency 5"])
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception) as caught:
        parse(line)
    assert getattr(caught.value, "exit_code", None) == 2


NEEDS = {  # words of commands that cannot be rehearsed in a run of the toy space on this machine, and why
    "imagefolder": "a folder of images",
    "data cifar10": "the files of CIFAR-10",
    "cuda": "a GPU",
    "profile --device a100": "an A100",
    "search --device my-laptop": "a table of that device",
    "compare --device my-laptop": "a search for that device",
    "--measured-only": "a table measured there",
}


@pytest.fixture(scope="module")
def whole_run(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was searched and fine-tuned, and the space of the README."""
    from nas.progress import Console
    from nas.run.search_settings import SearchSettings
    from nas.workflows.finetune import finetune
    from nas.workflows.requests import FinetuneRequest, SearchRequest
    from nas.workflows.search.command import search

    folder, quiet = shutil.copytree(trained_folder, tmp_path_factory.mktemp("docs") / "folder"), Console(quiet=True)
    (folder / "my_space.yaml").write_text(fenced(README, "yaml")[0], encoding="utf-8")
    settings, run = SearchSettings(budget=10), Path("runs/tiny")
    recipe = ["epochs=1", "batch_size=512"]
    with contextlib.chdir(folder):
        search(SearchRequest(run=run, devices=["cpu"], settings=settings), quiet)
        finetune(FinetuneRequest(run=run, overrides=recipe), quiet)
    return folder


def rehearsable(line: str) -> bool:
    """Say whether a command of the docs can be tried in a run of the toy space."""
    return parse(line) not in ("demo", "report") and not any(need in line for need in NEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in command_lines("nas") if rehearsable(line)])
def test_every_command_in_the_docs_is_accepted_by_its_workflow(
    line: str, nas: Callable[..., Any], whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.workflows.dry_run import plans as rehearsal

    monkeypatch.chdir(whole_run)
    for name in ("supernet_seconds", "trainings_seconds", "evaluation_seconds", "profile_seconds"):
        monkeypatch.setattr(rehearsal, name, lambda *_: 1.0)
    words = shlex.split(line, comments=True)[1:]
    words = ["runs/tiny" if before == "--run" else word for before, word in zip(["", *words], words, strict=False)]
    working = "--dry-run" not in words and words[0] != "show"
    told = nas(*words, *(["--dry-run"] if working else []))
    assert told.code == 0, told.err


def test_the_readme_shows_every_command_of_the_road() -> None:
    shown = {parse(line) for line in command_lines("nas")}
    mentioned = set(re.findall(r"\bnas ([a-z-]+)", README.read_text(encoding="utf-8")))
    assert set(command_line().commands) - {"demo"} <= shown
    assert mentioned <= set(command_line().commands) | {"audit", "export"}  # these two are named as missing


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {line.split()[1] for line in command_lines("make")}
    assert {"demo", "check", "test"} <= asked <= targets


def test_the_tests_that_repeat_a_fault_exist() -> None:
    commands = re.findall(r"`pytest ([^`]+)`", RELIABILITY.read_text(encoding="utf-8"))
    files = [name for words in commands for name in words.split()]
    assert len(files) > 10
    assert not [name for name in files if not (ROOT / name).is_file()]


def test_the_example_cluster_is_one_that_ray_accepts() -> None:
    import yaml
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    (text,) = fenced(CLUSTER, "yaml")
    config = fillout_defaults(yaml.safe_load(text))
    validate_config(config)
    head, worker = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    assert "--head" in head and config["provider"]["head_ip"] in worker


@pytest.mark.parametrize("page", [README, SPACES], ids=lambda page: page.name)
def test_the_example_space_loads(page: Path, tmp_path: Path) -> None:
    (text,) = fenced(page, "yaml")
    path = tmp_path / "my_space.yaml"
    path.write_text(text, encoding="utf-8")
    space = SearchSpace.load(path)
    assert space.smallest() in space
    assert space.largest() in space
    assert {kind for stage in space.stages for kind in stage.kinds} == {
        "basic",
        "conv",
        "gated-conv",
        "ssd",
        "attention",
    }


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_toy_table: Callable[..., Path]
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    write_toy_table(tmp_path)
    (code,) = fenced(README, "python")
    names: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exec(compile(code, "README.md", "exec"), names)
    front, best = names["result"].front, names["best"]
    assert best in names["space"]
    assert front[0].metrics["accuracy"] == max(each.metrics["accuracy"] for each in front)
    assert all(each.metrics["latency_ms"] <= 1.0 for each in names["result"].evaluations)
    stats = names["nas"].calibrate(names["supernet"], best, names["images"])
    with torch.no_grad():
        expected = names["supernet"](names["images"], best, stats)
        torch.testing.assert_close(names["model"](names["images"]), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(page))
    missing = [each for each in targets if "://" not in each and not (page.parent / each).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_in_the_docs_exists(page: Path) -> None:
    for dotted in re.findall(r"`(nas(?:\.\w+)+)", prose(page)):
        resolve(dotted)
    files = re.findall(r"`((?:nas|tests|benchmarks|docs)/[\w/.]+\.\w+)`", prose(page))
    assert not [file for file in files if not (ROOT / file).exists()]


def resolve(dotted: str) -> Any:
    """Find what a dotted name stands for: a module, or an attribute of one."""
    found: Any = importlib.import_module("nas")
    path = "nas"
    for part in dotted.split(".")[1:]:
        path = f"{path}.{part}"
        if not hasattr(found, part):
            importlib.import_module(path)  # a module that nothing has imported yet
        found = getattr(found, part)
    return found


def described_packages() -> dict[str, set[str]]:
    """Return, for every package in the tree of docs/ARCHITECTURE.md, the words that describe it; `nas` is the start."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\n(nas/\n.*?)\n\nnas/shipped_files/", text, re.DOTALL | re.MULTILINE)
    top, *rest = re.split(r"^  ((?:\w+/)+)", tree, flags=re.MULTILINE)
    parts = {"nas": top, **{f"nas/{name.rstrip('/')}": part for name, part in zip(rest[::2], rest[1::2], strict=True)}}
    return {name: set(re.findall(r"\w+", part)) for name, part in parts.items()}


def test_the_architecture_page_names_every_package_and_module() -> None:
    packages = {init.parent.relative_to(ROOT).as_posix(): init.parent for init in (ROOT / "nas").rglob("__init__.py")}
    described = described_packages()
    assert described.keys() == packages.keys()
    for name, package in packages.items():
        unnamed = {path.stem for path in package.glob("*.py")} - {"__init__"} - described[name]
        assert not unnamed, f"docs/ARCHITECTURE.md does not name {sorted(unnamed)} of {name}"


def test_decisions_are_numbered_and_short() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        text = page.read_text(encoding="utf-8")
        assert re.match(rf"# {int(page.name[:4])}\. ", text)
        parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Why", "Cost"]
        assert 10 <= len(text.splitlines()) <= 20
