"""BatchNorm over a batch that several processes have shares of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.nn.ranks import SINGLE_PROCESS, Ranks


class SyncBatchNorm(nn.BatchNorm2d):
    """Normalises by the statistics of the shares of all ranks; torch's own SyncBatchNorm needs a GPU."""

    ranks = SINGLE_PROCESS

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, channels, h, w] to the same shape; in eval mode as any BatchNorm does."""
        if not self.training:
            return super().forward(x)
        variance, mean = (moment.double() for moment in torch.var_mean(x.float(), (0, 2, 3), correction=0))
        mean, square = self.ranks.mean(torch.stack([mean, variance + mean.square()]))
        variance = square - mean.square()
        self.record(mean, variance, x.numel() // x.shape[1] * self.ranks.count)
        factor = self.weight * torch.rsqrt(variance + self.eps).float()
        shift = self.bias - mean.float() * factor
        return (x * factor[:, None, None] + shift[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def record(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Let the running statistics follow, with the unbiased variance of `count` entries per channel."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.float(), self.momentum)
        self.running_var.lerp_((variance * (count / max(1, count - 1))).float(), self.momentum)


def join_norms(module: nn.Module, ranks: Ranks) -> nn.Module:
    """Let every BatchNorm of a module use the shares of all ranks; return the module, unchanged for one process."""
    for part in list(module.modules()) if ranks.count > 1 else []:
        for name, norm in list(part.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                joint = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, device=norm.weight.device)
                joint.ranks = ranks
                setattr(part, name, joint.train(norm.training))
    return module
