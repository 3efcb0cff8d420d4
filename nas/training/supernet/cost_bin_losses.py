"""How fast the subnets of each range of the cost still learn: running means of their losses, a fast and a slow one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FAST, SLOW = 0.3, 0.05  # weights of a new loss in the two means
UNSEEN = -1.0  # of a loss
LEAST_SHARE = 0.5  # of the chances, equal for all ranges: none starves


class CostBinLosses:
    """Losses of ranges, numbered from 0; part of a training's state."""

    def __init__(self, count: int) -> None:
        self.means = torch.full((count, 2), UNSEEN, dtype=torch.float64)  # [ranges, (fast, slow)]

    def observe(self, number: int, loss: float) -> None:
        """Take in the loss of one subnet of a range."""
        row = self.means[number]
        self.means[number] = torch.where(row == UNSEEN, loss, row + (loss - row) * torch.tensor([FAST, SLOW]))

    def chances(self, count: int) -> np.ndarray:
        """Return the chances [count] of the first ranges: half equal, half in proportion to how fast losses fall.

        A range that lags behind and still learns is drawn more often, one that is done less. Equal until every range
        has been seen.
        """
        means = self.means[:count].numpy()
        falls = np.clip(means[:, 1] - means[:, 0], 0, None)
        equal = np.full(count, 1 / count)
        if (means == UNSEEN).any() or falls.sum() == 0:
            return equal
        return LEAST_SHARE * equal + (1 - LEAST_SHARE) * falls / falls.sum()

    def restore(self, means: Tensor) -> None:
        """Continue from saved means."""
        self.means = means.clone()
