"""Imports go one way, and what the command line loads is light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAVES = {
    f"nas.{name}" for name in ("errors", "units", "yaml_reader", "progress", "config", "statistics", "files", "shipped")
}
BELOW = {  # package -> modules of nas it may import, besides itself
    "errors": set(),
    "progress": set(),
    "statistics": set(),
    "shipped": set(),
    "units": {"nas.errors"},
    "yaml_reader": {"nas.errors"},
    "files": {"nas.errors"},
    "config": {"nas.errors", "nas.yaml_reader"},
    "tracking": {"nas.errors", "nas.files"},
    "space": LEAVES,
    "data": LEAVES,
    "nn": LEAVES | {"nas.space"},
    "supernet": LEAVES | {"nas.space", "nas.nn"},
    "training": LEAVES | {"nas.space", "nas.nn", "nas.supernet", "nas.data"},
    "export": LEAVES | {"nas.space", "nas.nn"},
    "hardware": LEAVES | {"nas.space", "nas.nn", "nas.export"},
    "evaluation": LEAVES | {"nas.space", "nas.nn", "nas.supernet", "nas.data", "nas.training"},
    "search": LEAVES | {"nas.space"},
    "report": LEAVES | {"nas.space", "nas.search.problem", "nas.search.evaluation_row"},
    "run": LEAVES
    | {"nas.space", "nas.data", "nas.nn", "nas.supernet", "nas.hardware.table"}
    | {"nas.search.problem", "nas.search.evaluation_row"},
}
TOP = {"__init__", "__main__", "cli", "workflows"}
NO_TORCH = {*(name.removeprefix("nas.") for name in LEAVES), "tracking", "space", "search", "report", "cli", "__init__"}
TORCH = {
    "units",
    "errors",
    "stored_json",
    "space",
    "search",
    "report",
    "config",
    "run_dir",
    "progress",
    "tracking",
    "cli",
    "__init__",
}
TORCH = {"torch", "torchvision", "timm"}
HEAVY = TORCH | {"ray", "pandas", "pymoo", "moocore", "optuna", "plotly", "onnx", "onnxruntime", "sklearn", "scipy"}
LIGHT_PATH = [  # what the commands that load no weights go through
    *("nas", "nas.cli", "nas.config", "nas.run.folder", "nas.progress", "nas.units", "nas.errors"),
    *("nas.space.search_space", "nas.space.cost", "nas.hardware.device", "nas.hardware.table.latency_table"),
    *("nas.hardware.table.fastest", "nas.search.loop", "nas.search.problem", "nas.report"),
    *("nas.workflows.search.command", "nas.workflows.show", "nas.run.picks", "nas.run.run"),
    "nas.workflows.report",
]
MODULES = sorted((ROOT / "nas").rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(ROOT / "nas").with_suffix("").parts[0]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only, so that this test can read them"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def lies_in(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(path):
    package = package_of(path)
    assert package in BELOW or package in TOP, f"{package}: say in BELOW what it may import"
    found = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
    if package in NO_TORCH:
        assert not {name.split(".")[0] for name in found} & TORCH
    if package in BELOW:
        allowed = BELOW[package] | {f"nas.{package}"}
        # `import nas` itself is for the place of its files (device.py), and loads nothing.
        inner = {name for name in found if lies_in(name, "nas") and name != "nas"}
        assert not {name for name in inner if not any(lies_in(name, module) for module in allowed)}


@pytest.mark.parametrize(
    "path",
    sorted({*(ROOT / "nas").glob("*.py"), *(ROOT / "nas" / "cli").glob("*.py")}),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_top_imports_nothing_of_nas_but_units_and_errors_before_a_command_runs(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_the_top = {
        name
        for node in tree.body
        for name in imports(ast.Module([node], []))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    inner = {name for name in at_the_top if lies_in(name, "nas")}
    light = {*LEAVES, "nas.cli"} if package_of(path) in ("cli", "__main__") else LEAVES
    assert not {name for name in inner if not any(lies_in(name, leaf) for leaf in light)}


@pytest.mark.parametrize("module", LIGHT_PATH)
def test_the_light_path_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert module in loaded.split()
    assert not HEAVY & {name.split(".")[0] for name in loaded.split()}


def test_the_public_names_are_found_when_they_are_used():
    code = "import nas, sys; assert 'torch' not in sys.modules; print([getattr(nas, name) for name in nas.__all__])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    code = "import nas; nas.nonsense"
    assert "no attribute 'nonsense'" in subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    ).stderr  # fmt: skip


def test_help_lists_every_command_without_loading_anything_heavy():
    code = "import sys; from nas.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    for command in ("demo", "train-supernet", "profile", "search", "finetune", "compare", "report", "show"):
        assert f"  {command} " in done.stdout
    assert "Examples:" in done.stdout
    assert not HEAVY & {name.split(".")[0] for name in done.stderr.split()}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def import_graph() -> dict[str, set[str]]:
    """Return for every module of nas the modules of nas that it imports, inside functions too."""
    names = {module_of(path) for path in MODULES}
    graph = {}
    for path in MODULES:
        imported = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
        modules = {name if name in names else name.rpartition(".")[0] for name in imported if lies_in(name, "nas")}
        graph[module_of(path)] = (modules & names) - {"nas", module_of(path)}
    return graph


def test_no_module_imports_itself_by_way_of_others():
    graph = import_graph()
    del graph["nas"]  # whose public names come from everywhere, when they are used
    order = TopologicalSorter(graph)
    order.prepare()  # raises CycleError, and names the circle
