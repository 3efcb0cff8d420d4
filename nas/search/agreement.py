"""How often a predictor's order was right, judged on what was evaluated after the prediction was made."""

from __future__ import annotations

import numpy as np


def pairs_in_order(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, int]:
    """Count the pairs of [n] values that differ when measured, and how many of these were predicted in that order.

    A predicted tie counts half.
    """
    first, second = np.triu_indices(len(measured), k=1)
    differ = measured[first] != measured[second]
    right = np.sign(measured[first] - measured[second]) * np.sign(predicted[first] - predicted[second])
    return float(((1 + right[differ]) / 2).sum()), int(differ.sum())
