"""model.json is read and written byte for byte; files of earlier versions lack some fields."""

import copy
import json
import subprocess
import sys

import pytest

from nas.errors import NasError
from nas.export.card import write_card
from nas.export.description import ExportedDescription, ModelDescription
from nas.export.hub import hub_config
from nas.files import read_json, write_json

BLOCKS = [{"kind": "conv", "expansion": 2, "kernel": 3, "bits": "fp"}]
FINETUNED = {
    "id": "1e4c40dccc",
    "architecture": {"resolution": 12, "stages": [{"width": 8, "blocks": BLOCKS}]},
    "resolution": 12,
    "num_classes": 10,
    **{"data": "digits", "start": "inherited", "epochs": 1, "images": 1280},
    "recipe": "AdamW 0.003, cosine, weight decay 0.02, batch 32, cross-entropy",
    "settings": {"epochs": 1, "batch_size": 32, "sparsity": "", "learning_rate": 0.003},
    **{"seed": 0, "trials": 0, "base_settings": {"epochs": 1, "batch_size": 32}},
    **{"inherited_accuracy": 0.745, "validation_accuracy": 0.86, "accuracy": 0.8633333333333333},
    **{"latency_ms": 0.06639924, "latency_low_ms": 0.038239581442231683, "latency_high_ms": 0.11529569378885691},
    **{"provenance": "predicted", "num_params": 4122, "macs": 71584, "size_bytes": 18037},
}
BITS = {
    "float_accuracy": 0.9,
    "integer_kernels": {"QLinearConv": 4},
    "promised_kernels": {"QLinearConv": 4},
    "file_bytes": 9000,
}
SCOPE = {"backend": "onnxruntime", "dtype": "fp32", "batch": 1}
EXPORTED = {
    **FINETUNED,
    "classes": [str(digit) for digit in range(10)],
    "preprocessing": {"mean": [0.29] * 3, "std": [0.32] * 3, "resize": "bilinear, antialiased"},
    "latencies": [
        {
            **{"device": "cpu", **SCOPE, "provenance": "measured blocks"},
            **{"latency_ms": 0.0107, "latency_low_ms": 0.0100, "latency_high_ms": 0.0115},
        },
        {"device": "other", **SCOPE, "provenance": "measured", "latency_ms": 0.02},
    ],
    "files": {
        "model.onnx": {
            **{"format": "onnx", "dtype": "fp32", "bytes": 17971, "sha256": "8f50", "runtime": "onnxruntime 1.31.1"},
            "parity": {"samples": 256, "max_relative_difference": 3.5e-07, "top1_agreement": 1.0, "passed": True},
        }
    },
}


def with_bits(data):
    names = list(data)
    at = names.index("inherited_accuracy")
    return {**{name: data[name] for name in names[:at]}, **BITS, **{name: data[name] for name in names[at:]}}


def without(data, *names):
    return {name: value for name, value in data.items() if name not in names}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ModelDescription, FINETUNED),
        (ModelDescription, with_bits(FINETUNED)),
        (ModelDescription, without(FINETUNED, "trials", "base_settings", "latency_low_ms", "latency_high_ms")),
        (ExportedDescription, EXPORTED),
        (ExportedDescription, with_bits(EXPORTED)),
    ],
    ids=["float", "bits", "earlier", "exported", "exported-bits"],
)
def test_what_is_read_is_written_again_to_the_byte(kind, data, tmp_path):
    given, written = tmp_path / "given.json", tmp_path / "written.json"
    write_json(given, data)
    write_json(written, kind.from_json(read_json(given)).to_json())
    assert written.read_bytes() == given.read_bytes()


def test_a_description_of_an_exported_network_reads_as_that_of_a_model():
    assert ModelDescription.from_json(EXPORTED) == ModelDescription.from_json(FINETUNED)


def test_a_file_that_lacks_a_field_is_named(tmp_path):
    path = tmp_path / "model.json"
    write_json(path, without(FINETUNED, "seed"))
    with pytest.raises(NasError, match=r"model\.json has no 'seed'"):
        ModelDescription.from_json(read_json(path))


def test_the_card_names_accuracy_latencies_files_and_a_check_that_failed():
    card = write_card(ExportedDescription.from_json(EXPORTED))
    assert "- 86.33% on the test split; 86.00% on validation" in card
    assert "- cpu, onnxruntime fp32, batch 1: 10.7 us (measured blocks; never measured as a whole)" in card
    assert "- other, onnxruntime fp32, batch 1: 20 us (measured)" in card
    assert "`model.onnx` (fp32, 17,971 bytes)" in card and "failed" not in card
    assert "[0.29, 0.29, 0.29], over the deviation [0.32, 0.32, 0.32]" in card
    failed = copy.deepcopy(EXPORTED) | {"latencies": []}
    failed["files"]["model.onnx"]["parity"]["passed"] = False
    card = write_card(ExportedDescription.from_json(failed))
    assert "Not searched for any device." in card and "this check failed" in card


def test_the_config_of_the_hub_is_json_with_the_input_of_the_network():
    config = json.loads(json.dumps(hub_config(ExportedDescription.from_json(EXPORTED))))
    assert config["pretrained_cfg"]["input_size"] == [3, 12, 12]
    assert config["pretrained_cfg"]["mean"] == [0.29] * 3
    assert config["label_names"] == EXPORTED["classes"]


def test_descriptions_load_no_torch():
    code = "import sys, nas.export.description, nas.export.card, nas.export.hub; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
