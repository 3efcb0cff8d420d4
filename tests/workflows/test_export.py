import copy
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from nas.cli import EXIT_CHECK, EXIT_USER
from nas.data.datasets import load_dataset
from nas.export import formats as export_formats
from nas.workflows.finetune import load_model

RUN = Path("runs/tiny")
OPENVINO = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed")
FORMATS = [("safetensors", "fp32"), ("onnx", "fp32"), ("onnx", "fp16"), ("pt2", "fp32")]
# What a machine with torch and numpy alone lacks.
BARE = """
import importlib.abc, runpy, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ABSENT = ["nas", "timm", "safetensors", "PIL", "torchvision", "onnx", "onnxruntime", "pandas", "sklearn", "scipy"]


@pytest.fixture
def exported(finetuned, tmp_path, monkeypatch):
    """A copy of a run with two fine-tuned subnets, and the current directory."""
    folder = shutil.copytree(finetuned[0], tmp_path / "folder")
    monkeypatch.chdir(folder)
    return folder


def identity():
    return sorted(path.name for path in (RUN / "models").iterdir())[0]


@pytest.mark.parametrize(("form", "dtype"), [*FORMATS, pytest.param("openvino", "fp32", marks=OPENVINO)])
def test_every_format_computes_what_the_trained_network_does(form, dtype, exported, nas, one_json):
    ended = nas("export", "--pick", identity(), "--format", form, "--dtype", dtype, "--json")
    assert ended.code == 0, ended.err
    found = one_json(ended.out)
    written = found["files"][Path(found["file"]).name]
    assert written["parity"]["passed"] and written["parity"]["samples"] == 256
    assert written["parity"]["max_relative_difference"] < (1e-2 if dtype == "fp16" else 1e-5)
    files = [Path(found["file"]), *Path(found["output"]).glob("*.bin")]
    assert written["bytes"] == sum(path.stat().st_size for path in files)
    assert json.loads((Path(found["output"]) / "model.json").read_text())["files"] == found["files"]


def test_formats_gather_in_one_folder_with_one_card(exported, nas):
    for form in ("safetensors", "onnx"):
        assert nas("export", "--pick", identity(), "--format", form, "--output", "out").code == 0
    described, card = json.loads(Path("out/model.json").read_text()), Path("out/README.md").read_text()
    assert set(described["files"]) == {"model.safetensors", "model.onnx"}
    assert all(f"`{name}`" in card for name in described["files"])
    assert f"{described['accuracy']:.2%} on the test split" in card and "measured blocks; never measured" in card


def test_the_written_model_classifies_an_image_where_only_torch_and_numpy_are(exported, nas):
    assert nas("export", "--pick", identity(), "--format", "safetensors", "--output", "out").code == 0
    command = [sys.executable, "-I", "-c", BARE.format(absent=ABSENT), "out/model.py"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    dataset = load_dataset("digits", 0)
    model, _ = load_model(RUN / "models" / identity())
    with torch.no_grad():
        expected = model(dataset.test().images[:1]).softmax(1)[0]
    said = ended.stdout.split("sample.npy: ")[1].split(" ")
    assert said[0] == dataset.classes[expected.argmax()]
    assert float(said[1]) == pytest.approx(100 * expected.max().item(), abs=0.6)  # the sample has 8 bits per pixel


def test_timm_builds_an_exported_network_after_one_import(exported, nas, monkeypatch):
    assert nas("export", "--pick", identity(), "--format", "safetensors", "--output", "out").code == 0
    monkeypatch.syspath_prepend("out")
    monkeypatch.delitem(sys.modules, "model", raising=False)
    import timm

    importlib.import_module("model")
    network = timm.create_model(f"subnet_{identity()}", pretrained=True)
    model, _ = load_model(RUN / "models" / identity())
    images = torch.randn(3, 3, model.resolution, model.resolution)
    with torch.no_grad():
        assert torch.equal(network(images), model(images))
        assert torch.equal(timm.create_model("local-dir:out", pretrained=True)(images), model(images))
    described = json.loads(Path("out/model.json").read_text())
    asked = timm.data.resolve_model_data_config(network)
    assert asked["input_size"] == (3, model.resolution, model.resolution)
    assert list(asked["mean"]) == described["preprocessing"]["mean"]
    with pytest.warns(UserWarning, match="trained weights"):
        timm.create_model(f"subnet_{identity()}")


def test_an_onnx_file_takes_any_number_of_images(exported, nas):
    assert nas("export", "--pick", identity(), "--format", "onnx", "--output", "out").code == 0
    session = onnxruntime.InferenceSession("out/model.onnx", providers=["CPUExecutionProvider"])
    side = json.loads(Path("out/model.json").read_text())["resolution"]
    images = np.zeros((5, 3, side, side), np.float32)
    assert session.run(None, {"images": images})[0].shape == (5, 10)


def test_a_file_that_computes_something_else_ends_with_4_and_says_so(exported, nas, monkeypatch):
    def wrong(network, *rest):
        changed = copy.deepcopy(network.model)
        with torch.no_grad():
            changed.layers[-1].classifier.bias += 0.1
        return export_formats.write_onnx(replace(network, model=changed), *rest)

    monkeypatch.setitem(export_formats.WRITERS, "onnx", wrong)
    ended = nas("export", "--pick", identity(), "--output", "out")
    assert ended.code == EXIT_CHECK and "does not compute" in ended.err
    assert json.loads(Path("out/model.json").read_text())["files"]["model.onnx"]["parity"]["passed"] is False
    assert "this check failed" in Path("out/README.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pick", "nothing"], "has no 'nothing'"),
        (["--pick", "all"], "one is exported at a time"),
        (["--format", "onnxx"], "Did you mean 'onnx'?"),
        (["--format", "pt2", "--dtype", "fp16"], "pt2 is not written as 'fp16'"),
    ],
)
def test_what_cannot_be_exported_ends_with_3_and_nothing_is_written(words, says, exported, nas):
    before = sorted(Path().rglob("*"))
    ended = nas("export", "--output", "out", *words)
    assert ended.code == EXIT_USER and says in ended.err.replace("\n", " ")
    assert sorted(Path().rglob("*")) == before


def test_a_subnet_that_is_not_fine_tuned_is_refused_with_the_command(exported, nas):
    rows = json.loads((RUN / "search/cpu/front.json").read_text())["front"]
    other = next(row["id"] for row in rows if not (RUN / "models" / row["id"]).exists())
    ended = nas("export", "--pick", other)
    assert ended.code == EXIT_USER and f"nas finetune --pick {other}" in ended.err


def test_another_network_in_the_folder_is_not_written_over(exported, nas):
    one, other = sorted(path.name for path in (RUN / "models").iterdir())
    assert nas("export", "--pick", one, "--output", "out").code == 0
    ended = nas("export", "--pick", other, "--output", "out")
    assert ended.code == EXIT_USER and "holds another network" in ended.err
