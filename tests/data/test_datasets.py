from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nas.data.datasets import DATASETS, Dataset, batches, data_root, load_dataset
from nas.errors import NasError


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (9, 9)).save(tmp_path / "pets" / split / name / f"{i}.png")
    return tmp_path / "pets"


@pytest.mark.parametrize("name", ["cluttered-digits", "digits"])
def test_built_in_data_load_by_name(name):
    data = load_dataset(name, seed=4)
    assert isinstance(data, Dataset) and (data.name, data.seed, data.num_classes) == (name, 4, 10)
    images, labels = next(batches(data.validation(), 8))
    assert images.shape == (8, 3, data.resolution, data.resolution) and 0 <= labels.min() <= labels.max() < 10


@pytest.mark.parametrize("form", ["imagefolder:{0}@16", "{0}@16", "timm:pets@16"])
def test_a_name_with_a_path_can_be_loaded_again_by_the_name_of_the_data_set(folder, monkeypatch, form):
    monkeypatch.setenv("NAS_DATA", str(folder.parent))
    data = load_dataset(load_dataset(form.format(folder)).name)
    assert (data.num_classes, data.resolution) == (2, 16)
    assert len(data.train(0)) + len(data.validation()) == 6 and len(data.test()) == 6


@pytest.mark.parametrize(
    ("name", "close"),
    [("cluttered-digit", "cluttered-digits"), ("cifar-10", "cifar10"), ("image-folder:x", "imagefolder:PATH")],
)
def test_an_unknown_name_is_an_error_that_suggests_the_close_one(name, close):
    with pytest.raises(NasError, match=f"unknown data set '{name}'") as caught:
        load_dataset(name)
    assert f"Did you mean '{close}'?" in caught.value.hint
    assert all(known in caught.value.hint for known in DATASETS)


def test_the_data_root_is_an_environment_variable_or_the_folder_data(monkeypatch, tmp_path):
    monkeypatch.delenv("NAS_DATA", raising=False)
    assert data_root() == Path("data")
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    assert data_root() == tmp_path
    for name in ("cifar10", "cifar100"):
        with pytest.raises(NasError, match=str(tmp_path)):
            load_dataset(name)
