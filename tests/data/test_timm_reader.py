from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import timm_reader
from nas.data.splits import batches
from nas.data.timm_reader import load_timm, shrink
from nas.errors import NasError


def write_folder(folder: Path, per_class: int, classes: tuple[str, ...] = ("a", "b")) -> None:
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            Image.new("RGB", (12, 10), (label, i, 0)).save(folder / name / f"{i}.png")


def write_mnist(root: Path, prefix: str, num_samples: int) -> None:
    """Write image and label files in MNIST's own IDX format; all pixels of image i are i, its label is i % 10."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    numbers = np.arange(num_samples, dtype=np.uint8)
    header = [num_samples, 28, 28]
    images = np.repeat(numbers, 28 * 28).tobytes()
    file = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in header) + images
    (raw / f"{prefix}-images-idx3-ubyte").write_bytes(file)
    labels = b"\x00\x00\x08\x01" + num_samples.to_bytes(4, "big") + (numbers % 10).tobytes()
    (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)


class StreamReader:
    """What timm's stream data set asks of a reader."""

    class_to_idx = {"odd": 1, "even": 0}  # noqa: RUF012

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self):
        return ((Image.new("L", (40, 20), i), i % 2) for i in range(self.num_samples))


def all_labels(split) -> list[int]:
    return [label for _, labels in batches(split, 8) for label in labels.tolist()]


def test_a_folder_is_read_with_a_tenth_held_out_and_its_own_test_split(tmp_path):
    write_folder(tmp_path / "flowers" / "train", 10)
    write_folder(tmp_path / "flowers" / "test", 2)
    data = load_timm("timm:flowers@8", tmp_path, seed=0)
    train, validation, test = data.train(0), data.validation(), data.test()
    assert (data.num_classes, data.resolution) == (2, 8)
    assert sorted([*train.indices, *validation.indices]) == list(range(20)) and len(validation) == 2
    assert all_labels(test) == [0, 0, 1, 1]
    assert data.calibration(4).shape == (4, 3, 8, 8)


@pytest.mark.parametrize("name", ["timm:flowers", "timm:torch/folder"])
def test_a_folder_without_test_split_is_an_error_and_never_read_whole(tmp_path, name):
    write_folder(tmp_path / "flowers" / "train", 10)
    write_folder(tmp_path / "train", 10)
    with pytest.raises(NasError, match=r"there is no folder '.*test'"):
        load_timm(name, tmp_path, seed=0)


def test_torch_folder_is_read_through_torchvision(tmp_path):
    write_folder(tmp_path / "train", 5)
    write_folder(tmp_path / "test", 2)
    data = load_timm("torch/folder@8", tmp_path, seed=0)
    assert len(data.train(0)) == 9 and len(data.validation()) == 1 and all_labels(data.test()) == [0, 0, 1, 1]
    (tmp_path / "test" / "a" / "0.png").write_bytes(b"broken")
    with pytest.raises(NasError, match="cannot read image 0"):
        data.test()[0]


def test_mnist_is_read_from_its_own_files(tmp_path):
    write_mnist(tmp_path, "train", 30)
    write_mnist(tmp_path, "t10k", 12)
    data = load_timm("torch/mnist@28", tmp_path, seed=0)
    assert data.num_classes == 10
    assert sorted(all_labels(data.train(0)) + all_labels(data.validation())) == sorted(i % 10 for i in range(30))
    assert all_labels(data.test()) == [i % 10 for i in range(12)]
    assert data.test()[0][0].shape == (3, 28, 28)


def test_other_classes_in_the_test_split_are_an_error(tmp_path):
    write_folder(tmp_path / "flowers" / "train", 3)
    write_folder(tmp_path / "flowers" / "test", 2, ("a", "c"))
    with pytest.raises(NasError, match="differ in: b, c"):
        load_timm("timm:flowers", tmp_path, seed=0)


def test_a_broken_image_is_an_error_and_not_replaced_by_another(tmp_path):
    write_folder(tmp_path / "flowers" / "train", 3)
    write_folder(tmp_path / "flowers" / "test", 2)
    file = tmp_path / "flowers" / "test" / "b" / "0.png"
    file.write_bytes(b"broken")
    with pytest.raises(NasError, match=str(file)):
        all_labels(load_timm("timm:flowers@8", tmp_path, seed=0).test())


@pytest.mark.parametrize("name", ["torch/mnist", "torch/nothing", "tfds/nothing", "timm:wds/nothing"])
def test_what_timm_cannot_open_is_an_error_with_its_reason(tmp_path, name):
    with pytest.raises(NasError, match="timm cannot open") as caught:
        load_timm(name, tmp_path, seed=0)
    assert "NAS_DATA" in caught.value.hint


def stream_of(lengths: dict[str, int]):
    def create_dataset(name, *, root, split, download):
        from timm.data import IterableImageDataset

        return IterableImageDataset(root, reader=StreamReader(lengths[split]))

    return create_dataset


def test_a_stream_is_held_in_memory_and_split_like_any_other(tmp_path, monkeypatch):
    monkeypatch.setattr("timm.data.create_dataset", stream_of({"train": 20, "test": 5}))
    data = load_timm("tfds/numbers@10", tmp_path, seed=0)
    assert data.num_classes == 2
    assert sorted(all_labels(data.train(0)) + all_labels(data.validation())) == [0] * 10 + [1] * 10
    assert all_labels(data.test()) == [0, 1, 0, 1, 0]
    assert data.test().open_image(0)[0].size == (20, 10)
    first, again = (torch.stack([split[i][0] for i in range(18)]) for split in (data.train(0), data.train(0)))
    assert torch.equal(first, again)


def test_a_stream_too_large_for_memory_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("timm.data.create_dataset", stream_of({"train": 20, "test": 5}))
    monkeypatch.setattr(timm_reader, "MAX_STREAM_BYTES", 1_000)
    with pytest.raises(NasError, match="stream of 20 images"):
        load_timm("tfds/numbers@10", tmp_path, seed=0)


def test_a_source_without_class_names_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("timm.data.create_dataset", stream_of({"train": 20, "test": 5}))
    monkeypatch.setattr(StreamReader, "class_to_idx", {})
    with pytest.raises(NasError, match="does not name its classes"):
        load_timm("tfds/numbers@10", tmp_path, seed=0)


def test_shrinking_keeps_the_aspect_and_never_enlarges():
    assert shrink(Image.new("RGB", (40, 20)), 10).size == (20, 10)
    assert shrink(Image.new("RGB", (8, 9)), 10).size == (8, 9)
