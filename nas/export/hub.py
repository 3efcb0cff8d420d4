"""config.json: a network's folder as the Hugging Face hub and timm lay theirs out."""

from __future__ import annotations

from nas.export.description import ExportedDescription
from nas.files import JsonObject


def hub_config(described: ExportedDescription) -> JsonObject:
    """Return timm's config.json of a network.

    Its architecture is the name that the generated model.py registers. So after `import model`
    `timm.create_model("local-dir:FOLDER", pretrained=True)` builds it from the folder.
    """
    model, preprocessing = described.model, described.preprocessing
    return {
        "architecture": f"subnet_{model.id}",
        "num_classes": model.num_classes,
        "pretrained_cfg": {
            "input_size": [3, model.resolution, model.resolution],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "num_classes": model.num_classes,
        },
        "label_names": list(described.classes),
    }
