from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.image_folder import load_image_folder, open_picture, split_resolution
from nas.data.splits import IMAGENET_MEAN, IMAGENET_STD, batches
from nas.errors import NasError

COLOURS = {"blue": (0, 0, 255), "red": (255, 0, 0)}


def write_images(folder: Path, per_class: int, colours: dict[str, tuple[int, int, int]] | None = None) -> None:
    for name, colour in (colours or COLOURS).items():
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            Image.new("RGB", (20 + i, 16), colour).save(folder / name / f"{i}.png")


@pytest.fixture
def folder(tmp_path):
    write_images(tmp_path / "train", 10)
    write_images(tmp_path / "test", 3)
    return tmp_path


def test_images_of_a_folder_have_the_label_of_their_class(folder):
    data = load_image_folder(f"imagefolder:{folder}@24", seed=0)
    assert (data.num_classes, data.resolution) == (2, 24)
    ((images, labels),) = batches(data.test(), 10)
    assert images.shape == (6, 3, 24, 24) and labels.tolist() == [0, 0, 0, 1, 1, 1]
    for image, label in zip(images, labels, strict=True):
        expected = (np.array(list(COLOURS.values())[label]) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        np.testing.assert_allclose(image[:, 12, 12], expected, rtol=1e-5)


def test_a_tenth_of_the_training_images_is_held_out_where_there_is_no_val(folder):
    data = load_image_folder(f"imagefolder:{folder}", seed=0)
    train, validation = data.train(0), data.validation()
    assert sorted([*train.indices, *validation.indices]) == list(range(20))
    assert [label for _, label in (validation[i] for i in range(2))] == [0, 1]
    assert train.open_image(0)[0].size == validation.open_image(0)[0].size
    other_seed = load_image_folder(f"imagefolder:{folder}", seed=1)
    np.testing.assert_array_equal(validation.indices, other_seed.validation().indices)


def test_a_val_folder_is_the_validation_split_and_leaves_all_training_images(folder):
    write_images(folder / "val", 2)
    data = load_image_folder(f"imagefolder:{folder}", seed=0)
    assert (len(data.train(0)), len(data.validation()), len(data.test())) == (20, 4, 6)


def test_calibration_images_of_a_folder_come_from_all_classes(folder):
    images = load_image_folder(f"imagefolder:{folder}@8", seed=0).calibration(12)
    assert images.shape == (12, 3, 8, 8)
    assert len(torch.unique(images[:, 0, 4, 4])) == 2


@pytest.mark.parametrize("missing", ["test", "train"])
def test_a_missing_split_is_an_error_that_says_how_to_lay_it_out(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(NasError, match=f"there is no folder '.*{missing}'") as caught:
        load_image_folder(f"imagefolder:{folder}", seed=0)
    assert "PATH/test/CLASS" in caught.value.hint


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(NasError, match="there is no image folder"):
        load_image_folder(f"imagefolder:{tmp_path / 'nowhere'}", seed=0)


def test_a_class_without_images_is_an_error_that_names_it(folder):
    (folder / "train" / "green").mkdir()
    with pytest.raises(NasError, match="green"):
        load_image_folder(f"imagefolder:{folder}", seed=0)


@pytest.mark.parametrize("split", ["val", "test"])
def test_splits_with_other_classes_are_an_error_that_names_the_difference(folder, split):
    if split == "val":
        write_images(folder / "val", 2)
    (folder / split / "red").rename(folder / split / "rot")
    with pytest.raises(NasError, match="differ in: red, rot"):
        load_image_folder(f"imagefolder:{folder}", seed=0)


@pytest.mark.parametrize("content", [b"", b"not an image", "truncated"])
def test_a_broken_image_is_an_error_that_names_the_file(folder, content):
    file = folder / "test" / "red" / "1.png"
    if content == "truncated":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
        content = file.read_bytes()[:2_000]
    file.write_bytes(content)
    data = load_image_folder(f"imagefolder:{folder}@8", seed=0)
    with pytest.raises(NasError, match=str(file)):
        list(batches(data.test(), 4))


def test_grey_and_palette_images_are_opened_as_rgb(tmp_path):
    for mode in ("L", "P", "RGBA"):
        Image.new(mode, (5, 4)).save(tmp_path / "image.png")
        assert open_picture(str(tmp_path / "image.png"), "image").mode == "RGB"


def test_the_size_is_what_follows_the_last_at_sign():
    assert split_resolution("some/path@64") == ("some/path", 64)
    assert split_resolution("some/path") == ("some/path", 224)
    assert split_resolution("me@home/path") == ("me@home/path", 224)
    with pytest.raises(NasError, match="0 pixels"):
        split_resolution("path@0")
