"""All pairs of tokens at once: `Y = (C B^T * sum_k w_k M_k) X`, in plain torch operations."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.nn.ssd.directions import Directions, causal_bias, order_tensors


def mix_quadratic(scaled: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, directions: Directions) -> Tensor:
    """Mix with one Gram matrix for all directions. Shapes as in `nas.nn.ssd.interface`.

    Tokens stay in raster order; only the cumulative decays [b, H, L] are permuted. The -inf is added before the
    exponential, so that neither value nor gradient overflows.
    """
    masks = []
    for k, pattern in enumerate(directions.patterns):
        order, rank = order_tensors(pattern, directions.grid, scaled.device)
        total = directions.decay(log_decay, k)[:, order].cumsum(1)[:, rank].transpose(1, 2)
        bias = causal_bias(pattern, directions.grid, scaled.device)
        mask = torch.exp(total[..., :, None] - total[..., None, :] + bias)
        masks.append(mask if directions.weight is None else mask * directions.weight[k][:, None, None])
    if len(masks) == 1:
        mask = masks[0]
    elif directions.mode == "group":  # head h of the result is head h // K of direction h % K
        mask = torch.stack(masks, 2).flatten(1, 2)
    else:
        mask = sum(masks[1:], masks[0])  # ONNX Runtime sums a stack ten times slower
    gram = C @ B.transpose(1, 2)
    mixed = (gram[:, None] * mask.to(gram.dtype)) @ scaled.transpose(1, 2)
    return mixed.transpose(1, 2)
