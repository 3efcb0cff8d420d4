from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.cifar import MEAN, STD, load_cifar
from nas.errors import NasError

LABEL_KEYS = {"cifar10": "labels", "cifar100": "fine_labels"}


def write_cifar(root: Path, name: str, num_train: int, num_test: int) -> None:
    """Write files in CIFAR's own format; the first pixel of image i is (i // 256, i % 256, label)."""
    from torchvision.datasets import CIFAR10, CIFAR100

    reader = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    folder = root / reader.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for files, total in ((reader.train_list, num_train), (reader.test_list, num_test)):
        pixels = rng.integers(0, 256, (total, 3, 32, 32), dtype=np.uint8)
        labels = np.arange(total) % int(name.removeprefix("cifar"))
        pixels[:, 0, 0, 0], pixels[:, 1, 0, 0], pixels[:, 2, 0, 0] = (*np.divmod(np.arange(total), 256), labels)
        for part, (file, _) in zip(np.array_split(np.arange(total), len(files)), files, strict=True):
            entry = {"data": pixels[part].reshape(len(part), -1), LABEL_KEYS[name]: labels[part].tolist()}
            (folder / file).write_bytes(pickle.dumps(entry))
    names = [f"class {i}" for i in range(int(name.removeprefix("cifar")))]
    (folder / reader.meta["filename"]).write_bytes(pickle.dumps({reader.meta["key"]: names}))


@pytest.fixture
def accept_any_checksum(monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())


def sample_numbers(images: torch.Tensor, name: str) -> list[int]:
    """Read back which image each one is, from its first pixel."""
    scale = torch.tensor(STD[name])[:, None, None]
    pixels = ((images * scale + torch.tensor(MEAN[name])[:, None, None]) * 255).round()
    return (256 * pixels[:, 0, 0, 0] + pixels[:, 1, 0, 0]).int().tolist()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_holds_5000_training_images_out_and_tests_on_the_official_ones(name, tmp_path, accept_any_checksum):
    write_cifar(tmp_path, name, num_train=5_500, num_test=40)
    data, num_classes = load_cifar(name, tmp_path, seed=0), int(name.removeprefix("cifar"))
    train, validation, test = data.train(0), data.validation(), data.test()
    assert (data.num_classes, data.resolution) == (num_classes, 32)
    assert train.images.shape == (500, 3, 32, 32) and train.images.dtype == torch.float32
    held_out = sample_numbers(validation.images, name)
    assert len(set(held_out)) == 5_000 and validation.labels.tolist() == [i % num_classes for i in held_out]
    assert sample_numbers(test.images, name) == list(range(40))
    assert test.labels.tolist() == [i % num_classes for i in range(40)]
    assert torch.bincount(validation.labels, minlength=num_classes).tolist() == [5_000 // num_classes] * num_classes
    assert torch.bincount(train.labels, minlength=num_classes).tolist() == [500 // num_classes] * num_classes
    assert torch.equal(train.images, load_cifar(name, tmp_path, seed=0).train(0).images)
    assert not torch.equal(train.images, data.train(1).images)
    assert torch.equal(validation.images, load_cifar(name, tmp_path, seed=1).validation().images)


def test_missing_cifar_files_are_reported_with_where_to_put_them(tmp_path):
    with pytest.raises(NasError, match="cifar10 is missing or damaged") as caught:
        load_cifar("cifar10", tmp_path, seed=0)
    assert str(tmp_path / "cifar-10-batches-py") in caught.value.hint and "NAS_DATA" in caught.value.hint


def test_damaged_cifar_files_are_reported(tmp_path):
    write_cifar(tmp_path, "cifar100", num_train=50, num_test=10)  # right names, wrong checksums
    with pytest.raises(NasError, match="cifar100 is missing or damaged"):
        load_cifar("cifar100", tmp_path, seed=0)
