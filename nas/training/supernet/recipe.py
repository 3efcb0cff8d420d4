"""How a supernet is trained: every setting, with its default."""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import NasError, did_you_mean
from nas.supernet.sharing import Sharing
from nas.training.losses import LOSSES
from nas.training.supernet.sampling import SAMPLINGS

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetRecipe:
    """How a supernet is trained. Every step trains the largest, the smallest and `num_random` random subnets."""

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 0.02
    warmup_fraction: float = 0.05
    clip_norm: float = 5.0
    ema_share: float = 0.04  # of all steps, that the average of the weights looks back over
    distill: float = 0.3
    num_random: int = 2
    sampling: str = "rotation"  # one of SAMPLINGS
    rotate_smallest: bool = True  # the smallest subnet of the kinds whose turn it is; else that of the space
    sampling_device: str = ""  # whose latency table gives the ranges of costs; MACs without one
    front: str = ""  # a run with a search, whose front `sampling=front` draws from
    loss: str = "distillation"  # one of LOSSES
    side_by_side: bool = True  # random subnets in a second thread; else all in turn, with less memory
    split_batch: bool = False  # each random subnet sees its share of the batch only
    warm_start: str = ""  # a run, or a safetensors file, whose weights it begins with
    accumulate: int = 1  # parts of a batch that go through one after another, to save memory
    precision: str = "fp32"  # or bf16: products under autocast
    image_importance: bool = False  # images with large gradients are drawn more often
    smoothing: float = 0.0  # of the labels of the largest subnet
    mixup: float = 0.0  # alpha of Mixup (Zhang et al. 2018); with both, one of the two for each batch
    cutmix: float = 0.0  # alpha of CutMix (Yun et al. 2019)
    randaugment: int = 0  # magnitude of RandAugment (Cubuk et al. 2019), up to 30; 0: none
    depth_after: float = 0.0  # share of all steps that only the largest depths are trained
    width_after: float = 0.0  # and only the largest widths, resolutions and settings of blocks
    bits_after: float = 0.5  # share of all steps that only float subnets are trained, where a space has integer bits
    low_bits_after: float = 0.75  # and that no subnets of fewer than 8 bits are
    kernel_matrices: bool = False  # small kernels are learned transforms of large ones; else their centres
    experts: int = 1  # sets of weights, which operators mix by their sizes
    split_after: float = 1.0  # share of all steps, after which kinds in conflict over a tensor get one each
    step_rate: float = 0.1  # learning rate of quantisers' steps, as a share of that of weights

    def __post_init__(self) -> None:
        for name, known in (("sampling", SAMPLINGS), ("loss", LOSSES), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in known:
                raise NasError(f"no {name} '{value}'", did_you_mean(value, known))
        if self.experts < 1:
            raise NasError(f"experts = {self.experts}: there is one set of weights at least", "--set experts=2")
        if (self.sampling == "front") != bool(self.front):
            raise NasError("sampling=front and front=RUN go together", "--set sampling=front --set front=RUN")
        if self.batch_size % self.accumulate:
            raise NasError(
                f"a batch of {self.batch_size} has no {self.accumulate} equal parts",
                "--set accumulate=1",
            )

    @property
    def sharing(self) -> Sharing:
        """Return how subnets share weights when the training begins."""
        return Sharing(kernel_matrices=self.kernel_matrices, experts=self.experts)
