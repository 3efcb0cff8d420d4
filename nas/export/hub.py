"""config.json: a network's folder as the Hugging Face hub and timm lay theirs out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def hub_config(described: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a network's model.json into timm's config.json.

    Its architecture is the name that the generated model.py registers, so after `import model`
    `timm.create_model("local-dir:FOLDER", pretrained=True)` builds it from the folder.
    """
    side, preprocessing = described["resolution"], described["preprocessing"]
    return {
        "architecture": f"subnet_{described['id']}",
        "num_classes": described["num_classes"],
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": preprocessing["mean"],
            "std": preprocessing["std"],
            "num_classes": described["num_classes"],
        },
        "label_names": described["classes"],
    }
