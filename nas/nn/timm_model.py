"""Hand-designed models from timm, prepared for a task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nas.errors import NasError, did_you_mean
from nas.nn.subnet import resize

# The input size in pixels that each model gets for 32 x 32 images, by its accuracy on the validation split and its
# latency (figures in BENCHMARKS.md). Only resnet10t has a real choice: at 64 it is more accurate and takes four times
# as long. `nas compare --models resnet10t@32,resnet10t@64` shows both.
BEST_INPUT = {"resnet10t": 32, "mobilenetv3_small_050": 64, "lcnet_050": 64, "regnetx_002": 64, "convnext_atto": 64}
DEFAULT_MODELS = ("resnet10t", "mobilenetv3_small_050")


@dataclass(frozen=True, slots=True)
class Reference:
    """A timm model's name, the size in pixels of the images it is given, and that of its patches where it has any."""

    name: str
    resolution: int
    patch_size: int | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.resolution}" + ("" if self.patch_size is None else f"/{self.patch_size}")


class ReferenceModel(nn.Module):
    """A timm model that takes images of any size, as a subnet does."""

    def __init__(self, model: nn.Module, resolution: int) -> None:
        super().__init__()
        self.model, self.resolution = model, resolution

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to logits [b, classes]."""
        return self.model(resize(images, self.resolution))


def parse_reference(text: str, native_resolution: int) -> Reference:
    """Read `resnet10t`, `resnet10t@64` or `vit_tiny_patch16_224@32/4`, whose patches have 4 pixels.

    Without a size it is the best known one, else that of the data set. `NasError` for a name that timm does not have,
    with the close match, or a size that is no number.
    """
    import timm

    name, at, sizes = text.strip().partition("@")
    size, slash, patch = sizes.partition("/")
    if not timm.is_model(name):
        raise NasError(f"timm has no model '{name}'", did_you_mean(name, close_models(name)))
    for given, written in ((at, size), (slash, patch)):
        if given and not (written.isdigit() and int(written) > 0):
            raise NasError(f"'{written}' is not an input size", f"Write for example {name}@64, or {name}@64/8")
    if at:
        return Reference(name, int(size), int(patch) if slash else None)
    return Reference(name, BEST_INPUT.get(name, native_resolution) if native_resolution == 32 else native_resolution)


def close_models(name: str) -> list[str]:
    """Return the few timm models whose names are near `name`."""
    import difflib

    import timm

    return difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.3) or list(DEFAULT_MODELS)


def native_resolution(text: str) -> int:
    """Return the size in pixels of the images that a timm model was designed for; 224 where timm does not say."""
    import timm

    config = timm.get_pretrained_cfg(text.strip().partition("@")[0], allow_unregistered=True)
    return 224 if config is None else int(config.input_size[-1])


def timm_network(name: str, resolution: int) -> nn.Module:
    """Build a timm model with fresh weights and its own classifier for images of `resolution` pixels."""
    import timm

    if resolution != native_resolution(name):
        try:
            return timm.create_model(name, pretrained=False, img_size=resolution)
        except TypeError:  # a convolutional network takes any size and has no such argument
            pass
    return timm.create_model(name, pretrained=False)


def build_reference(reference: Reference, num_classes: int, weights: Path | None = None) -> ReferenceModel:
    """Build a hand-designed model with fresh weights, or those of a file, whose classifier is replaced.

    `NasError` where it cannot take that input size, or the file does not fit.
    """
    import timm
    import torch

    settings: dict[str, Any] = {"num_classes": num_classes}
    if reference.patch_size is not None:
        settings |= {"img_size": reference.resolution, "patch_size": reference.patch_size}
    if weights is not None:
        check_tensors_only(weights)
        settings |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
    try:
        model = timm.create_model(reference.name, **settings).eval()
        with torch.no_grad():
            model(torch.zeros(1, 3, reference.resolution, reference.resolution))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise NasError(f"{reference} cannot be built: {reason}", f"Try another size: {reference.name}@224") from error
    return ReferenceModel(model.train(), reference.resolution)


def check_tensors_only(weights: Path) -> None:
    """Refuse a pickle that holds anything but tensors, before a version of timm that would execute it reads it."""
    import pickle
    import warnings

    import torch

    if weights.suffix == ".safetensors":
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # that a pickle of another protocol may not be readable
            torch.load(weights, map_location="meta", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise NasError(
            f"{weights} holds more than tensors, or is broken", "Save a state_dict as safetensors"
        ) from error


def weights_file(reference: Reference, folder: Path) -> Path:
    """Find NAME.safetensors, NAME.pth or NAME.bin of a model in a folder; `NasError` where there is none."""
    names = [f"{reference.name}{ending}" for ending in (".safetensors", ".pth", ".bin")]
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise NasError(
            f"{folder} holds no weights of {reference.name}: none of {', '.join(names)}",
            f"Save them there, for example torch.save(timm.create_model('{reference.name}', pretrained=True)"
            f".state_dict(), '{names[1]}'); nothing is downloaded for you",
        )
    return files[0]
