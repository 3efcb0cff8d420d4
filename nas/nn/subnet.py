"""Plain networks: what is measured, fine-tuned and exported. They know nothing of a supernet."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.blocks import build_operator, fold_norms
from nas.nn.quantizer import initialised, quantized_widths
from nas.space.architecture import Architecture
from nas.space.operator import operators

__all__ = ["Subnet", "build_operator", "build_subnet", "fold_norms", "initialised", "quantized_widths", "resize"]


def resize(images: Tensor, resolution: int) -> Tensor:
    """Scale images [b, 3, h, w] to `resolution` x `resolution` pixels; the same tensor where they have it already."""
    if images.shape[-2:] == (resolution, resolution):
        return images
    return F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True, align_corners=False)


class Subnet(nn.Module):
    """One architecture as a chain of operators."""

    def __init__(self, architecture: Architecture, num_classes: int) -> None:
        super().__init__()
        self.resolution = architecture.resolution
        self.layers = nn.Sequential(*(build_operator(op) for op in operators(architecture, num_classes)))

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, 3, h, w] of any size to logits [b, classes]."""
        return self.layers(resize(images, self.resolution))


def build_subnet(architecture: Architecture, num_classes: int) -> Subnet:
    """Build a network with fresh weights, in training mode and with its norms not folded."""
    return Subnet(architecture, num_classes)
