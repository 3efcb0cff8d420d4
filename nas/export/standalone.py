"""The network `@ID@`: this file needs torch and numpy only; the weights lie beside it in model.safetensors.

python model.py image.png                   .png, .jpg and others with Pillow; .npy: uint8 [height, width, 3]
from model import load; logits = load()(images)                                [batch, 3, side, side], normalised
import timm, model; timm.create_model("@NAME@", pretrained=True)
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

FOLDER = Path(__file__).parent
DTYPES = {"F32": torch.float32, "F16": torch.float16, "I64": torch.int64, "I32": torch.int32, "BOOL": torch.bool}
aten = torch.ops.aten


class Network(nn.Module):
    """The network, one method per block; its tensors keep the names that they have in model.safetensors."""

    pretrained_cfg: dict[str, Any]  # what timm.data.resolve_model_data_config reads, set by `create`

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            *path, leaf = name.split(".")
            part: nn.Module = self
            for each in path:
                if each not in part._modules:
                    part.add_module(each, nn.Module())
                part = part.get_submodule(each)
            if tensor.is_floating_point() and path[0] != "constants":
                part.register_parameter(leaf, nn.Parameter(tensor))
            else:
                part.register_buffer(leaf, tensor)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [b, 3, side, side] to logits [b, classes]."""
        raise NotImplementedError  # nas export writes it


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file: the length of a JSON header, the header, the tensors one behind the other."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            raw = data[start + first : start + last]
            tensors[name] = torch.frombuffer(raw, dtype=DTYPES[entry["dtype"]]).view(entry["shape"])
    return tensors


def describe(folder: Path = FOLDER) -> dict[str, Any]:
    """Read model.json."""
    return json.loads((folder / "model.json").read_text())


def load(folder: Path = FOLDER) -> Network:
    """Build the network with its weights, in eval mode."""
    return Network(read_tensors(folder / "model.safetensors")).eval()


def prepare(pixels: np.ndarray, described: dict[str, Any]) -> Tensor:
    """Turn an image, uint8 [height, width, 3], into the network's input: the centred square, normalised, resized."""
    height, width, _ = pixels.shape
    side, resolution = min(height, width), described["resolution"]
    top, left = (height - side) // 2, (width - side) // 2
    image = torch.from_numpy(pixels[top : top + side, left : left + side] / np.float32(255)).movedim(-1, 0)
    mean, std = (torch.tensor(described["preprocessing"][name]).view(3, 1, 1) for name in ("mean", "std"))
    size = (resolution, resolution)
    return F.interpolate(((image - mean) / std)[None], size=size, mode="bilinear", antialias=True, align_corners=False)


def read_image(path: Path) -> np.ndarray:
    """Read an image as uint8 [height, width, 3]."""
    if path.suffix == ".npy":
        return np.load(path)
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def main(files: list[str]) -> None:
    """Print the most probable classes of images; without any, of the sample beside this file."""
    described, network = describe(), load()
    classes = described["classes"] or [str(index) for index in range(described["num_classes"])]
    for file in files or [str(FOLDER / "sample.npy")]:
        with torch.no_grad():
            shares = network(prepare(read_image(Path(file)), described)).softmax(1)[0]
        best = shares.topk(min(3, len(shares)))
        found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        print(f"{file}: {', '.join(f'{classes[index]} {100 * share:.1f} %' for share, index in found)}")


def create(pretrained: bool = False, **settings: Any) -> Network:
    """Build the network for `timm.create_model`; it exists with its trained weights alone."""
    if not pretrained:
        warnings.warn("this network comes with its trained weights, as with pretrained=True", stacklevel=2)
    asked = settings.get("num_classes")
    if asked not in (None, describe()["num_classes"]):
        raise ValueError(f"this network has {describe()['num_classes']} classes, not {asked}")
    described, network = describe(), load()
    side, preprocessing = described["resolution"], described["preprocessing"]
    network.pretrained_cfg = {
        "input_size": (3, side, side),
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "mean": tuple(preprocessing["mean"]),
        "std": tuple(preprocessing["std"]),
    }
    return network


def register(name: str) -> None:
    """Tell timm about the network, where timm is installed."""
    try:
        from timm.models import register_model
    except ImportError:
        return
    create.__name__ = name
    register_model(create)


if __name__ == "__main__":
    main(sys.argv[1:])
else:
    register("@NAME@")
