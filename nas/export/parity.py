"""Whether an exported file computes what the network computes: checked in a fresh process, in the file's runtime."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import NasError

SCRIPT = Path(__file__).with_name("reload.py")
# The greatest difference of a logit, as a share of the greatest logit; None where integer values may differ by one.
MAX_DIFFERENCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": None}
LEAST_AGREEMENT = 0.995  # share of images whose class is the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Difference between the logits of a file and of the network, over `samples` images."""

    samples: int
    max_relative_difference: float
    top1_agreement: float
    passed: bool


def run_fresh(form: str, file: Path, images: np.ndarray) -> np.ndarray:
    """Return the logits [n, classes] that a file computes in a process of its own; `NasError` where it does not run."""
    with tempfile.TemporaryDirectory() as folder:
        given, computed = Path(folder) / "images.npy", Path(folder) / "logits.npy"
        np.save(given, images)
        # -I: neither this directory nor PYTHONPATH is searched, so that nothing of ours can be found by chance. -B: no
        # compiled model.py is left beside the files
        command = [sys.executable, "-I", "-B", str(SCRIPT), form, str(file), str(given), str(computed)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            last = ended.stderr.strip().splitlines()[-1:] or ["no message"]
            raise NasError(f"{file} does not run in a fresh process: {last[0]}", f"See it all: {' '.join(command[:7])}")
        return np.asarray(np.load(computed))


def compare_logits(expected: np.ndarray, computed: np.ndarray, dtype: str) -> Parity:
    """Compare logits [n, classes] by the limits of `dtype`."""
    difference = float(np.abs(computed - expected).max() / np.abs(expected).max())
    agreement = float((computed.argmax(1) == expected.argmax(1)).mean())
    limit = MAX_DIFFERENCE[dtype]
    # written so that NaN fails
    passed = agreement >= LEAST_AGREEMENT and (limit is None or difference <= limit)
    return Parity(
        samples=len(expected), max_relative_difference=difference, top1_agreement=agreement, passed=bool(passed)
    )
