import csv
import json
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

from nas.data.splits import Split
from nas.errors import NasError
from nas.files import read_json
from nas.hardware.device import this_machine
from nas.progress import Console
from nas.report.compared_network import COLUMNS
from nas.run.run import Run
from nas.space.cost import architecture_cost
from nas.space.preset import Preset
from nas.workflows.compare.command import compare, judge
from nas.workflows.compare.comparison_table import SCRATCH, count_macs
from nas.workflows.compare.network_latencies import is_here
from nas.workflows.network_training import candidates as candidates
from nas.workflows.network_training.candidates import Tuned
from nas.workflows.requests import CompareRequest

RUN = Path("runs/tiny")


def run_compare(*models, device="cpu", **asked):
    request = CompareRequest(run=RUN, device=device, models=models, **asked)
    return compare(request, Console(quiet=True)).to_json()


def rows_of(path=RUN / "compare.csv"):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def model_files():
    return {path.parent.name: json.loads(path.read_text()) for path in RUN.glob("models/*/model.json")}


def written():
    return {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file() and not path.name.startswith(".lock")}


def test_compare_csv_has_the_columns_of_the_contract_and_every_model(finished):
    rows = rows_of()
    assert COLUMNS[:11] == (
        "name", "kind", "id", "accuracy", "accuracy_std", "latency_ms", "num_params", "macs", "epochs", "recipe",
        "source",
    )  # fmt: skip
    assert all(tuple(row) == COLUMNS for row in rows)
    assert {row["kind"] for row in rows} == {"searched", "hand-designed"}
    searched = [row["id"] for row in rows if row["kind"] == "searched"]
    controls = [name for name in searched if name.endswith(SCRATCH)]
    assert set(searched) - set(controls) == set(model_files()) and len(controls) == 1
    assert [row["name"] for row in rows if row["kind"] == "hand-designed"] == ["resnet10t@32"]
    assert sum(row["name"].endswith("from scratch") for row in rows) == 1
    for row in rows:
        assert 0 <= float(row["accuracy"]) <= 1
        assert float(row["latency_ms"]) > 0
        assert row["provenance"] == "measured"


def test_all_models_get_the_same_recipe_and_the_same_number_of_images(finished):
    assert len({(row["epochs"], row["images"], row["recipe"]) for row in rows_of()}) == 1


def test_searched_rows_say_what_model_json_says(finished):
    for row in rows_of():
        if row["kind"] == "searched" and not row["name"].endswith("from scratch"):
            described = model_files()[row["id"]]
            for name in ("accuracy", "validation_accuracy", "inherited_accuracy", "num_params", "macs"):
                assert float(row[name]) == described[name]


def test_every_member_of_the_front_is_measured_in_the_same_session(finished):
    front = json.loads((RUN / "search/cpu/front.json").read_text())["front"]
    measured = read_json(RUN / "search/cpu/measured.json")
    assert set(measured) == {row["id"] for row in front} | set(model_files()) | {"resnet10t@32"}
    for row in rows_of():
        seen = measured[row["id"].removesuffix(SCRATCH)]
        assert float(row["latency_ms"]) == seen["ms"] <= seen["ms_p50"]


def test_a_hand_designed_model_has_its_own_parameters_and_macs(finished):
    row = next(row for row in rows_of() if row["kind"] == "hand-designed")
    assert 4_500_000 < int(row["num_params"]) < 5_500_000  # resnet10t with ten classes
    assert 15e6 < int(row["macs"]) < 40e6
    largest = max(float(row["latency_ms"]) for row in rows_of() if row["kind"] == "searched")
    assert float(row["latency_ms"]) > largest


def test_several_seeds_give_means_deviations_and_a_paired_verdict_and_nothing_is_trained_twice(finished, monkeypatch):
    path = RUN / "compare" / "trained.jsonl"
    before = path.read_text().splitlines()
    assert len(before) == 2  # resnet10t and the control; what nas finetune trained is taken from there
    found = run_compare("resnet10t@32", seeds=2)["models"]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[:2] == [json.loads(line) for line in before] and len(rows) == 2 + len(model_files()) + 2
    assert {row["seed"] for row in rows[2:]} == {1}
    by_name = {}
    for row in rows:
        by_name.setdefault(row["id"], []).append(row["accuracy"])
    for row in found:
        accuracies = by_name[row["id"]]
        if row["id"] in model_files():
            accuracies = [model_files()[row["id"]]["accuracy"], *accuracies]
        assert row["accuracy"] == pytest.approx(statistics.fmean(accuracies))
        assert row["accuracy_std"] == pytest.approx(statistics.stdev(accuracies))
    (model,) = (row for row in found if row["kind"] == "hand-designed")
    assert "resnet10t@32" in model["verdict"] and "2 seeds" in model["verdict"]
    assert model["rival"] in {row["name"] for row in found} and model["speed_up"] > 1
    assert all(row.get("verdict") is None for row in found if row["kind"] == "searched")

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(candidates, "train_model", never)
    again = run_compare("resnet10t@32", seeds=2)["models"]
    assert {row["id"]: row["accuracy"] for row in again} == {row["id"]: row["accuracy"] for row in found}


def test_a_comparison_that_was_killed_goes_on_where_it_was(finished, monkeypatch):
    path = RUN / "compare" / "trained.jsonl"
    kept = path.read_text().splitlines()
    path.write_text(f"{kept[0]}\n{kept[1][:20]}")  # killed while it wrote the second line
    run_compare("resnet10t@32")
    assert path.read_text().splitlines() == kept


def test_a_preset_of_the_space_is_trained_as_hand_designed_models_are(finished, monkeypatch):
    space = Run(RUN).space()
    preset = Preset("plain", space.smallest(), "made up")
    monkeypatch.setattr(Run, "space", lambda run: replace(space, presets={"plain": preset}))
    (row,) = (row for row in run_compare("plain")["models"] if row["kind"] == "hand-designed")
    assert (row["name"], row["source"]) == ("plain", "preset architecture, trained from scratch")
    assert row["num_params"] == architecture_cost(space.smallest(), 10).num_params


def test_models_may_begin_with_weights_that_lie_on_disk(finished):
    Path("weights").mkdir()
    with pytest.raises(NasError, match=r"weights holds no weights of resnet10t.*nothing is downloaded"):
        run_compare("resnet10t@32", pretrained=Path("weights"))
    torch.save(timm.create_model("resnet10t").state_dict(), "weights/resnet10t.pth")
    (row,) = (r for r in run_compare("resnet10t@32", pretrained=Path("weights"))["models"] if r["name"][:3] == "res")
    assert row["source"] == "timm architecture, trained from the weights of timm"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("resnet10", "timm has no model 'resnet10'.*Did you mean 'resnet10t'"),
        ("resnet10t@big", "not an input size.*resnet10t@64"),
        ("vit_tiny_patch16_224@32", "vit_tiny_patch16_224@32 cannot be built.*Try another size"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_before_anything_is_trained_or_written(finished, model, reason):
    before = written()
    with pytest.raises(NasError, match=reason):
        run_compare("resnet10t@32", model)
    assert written() == before


def test_nothing_is_measured_under_the_name_of_another_device(finished):
    before = written()
    for device in ("a100", "phone"):
        with pytest.raises(NasError, match=rf"newest search of runs/tiny is for cpu.*nas search --device {device}"):
            run_compare("resnet10t@32", device=device)
    assert written() == before


def test_there_must_be_a_fine_tuned_subnet_to_compare_with(searched_folder, monkeypatch):
    monkeypatch.chdir(searched_folder)
    with pytest.raises(NasError, match="nas finetune --pick best"):
        run_compare("resnet10t@32")


def test_final_accuracies_are_those_of_the_test_split():
    class AlwaysZero(nn.Module):
        def forward(self, images):
            return nn.functional.one_hot(torch.zeros(len(images), dtype=torch.int64), 2)

    def labelled(*labels):
        return Split(torch.zeros(len(labels), 3, 4, 4), torch.tensor(labels))

    model = AlwaysZero()
    found = judge(Tuned(model, model), test=labelled(0, 1, 1, 1), validation=labelled(0, 0, 0, 0))
    assert found == {"accuracy": 0.25, "validation_accuracy": 1.0}


def test_macs_are_those_of_convolutions_and_matrix_products():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 4 * 4, 10))
    assert count_macs(model, 8) == 8 * 3 * 9 * 16 + 128 * 10


@pytest.mark.slow
def test_on_a_device_that_is_not_at_hand_every_latency_is_predicted_and_says_so(nas, workspace):
    assert nas("search", "--device", "a100", "--budget", 4).code == 0
    tuned = nas("finetune", "--pick", "smallest", "--epochs", 1)
    assert "predicted for a100-sxm4-80gb, bf16, batch 1; 90 % interval" in tuned.out
    told = nas("compare", "--device", "a100", "--models", "resnet10t@32")
    assert told.code == 0, told.err
    assert "a100 is not at hand: latencies are predicted" in told.err
    assert " ms predicted, never measured" in told.out and "measured whole" not in told.out
    rows = rows_of()
    assert {row["provenance"] for row in rows} == {"predicted"}
    for row in rows:
        assert float(row["latency_low_ms"]) < float(row["latency_ms"]) < float(row["latency_high_ms"])
    assert not Path("runs/tiny/search/a100/measured.json").exists()
    assert nas("report").code == 0
    page = Path("runs/tiny/report.html").read_text()
    assert "none was ever measured there" in page and "predicted from a data sheet, never measured" in page


def test_a_table_of_another_machine_is_not_measured_on_this_one():
    own = SimpleNamespace(device_kind="cpu", fingerprint=this_machine().fingerprint)
    assert is_here("my-laptop", own)
    other = SimpleNamespace(device_kind="cpu", fingerprint={**own.fingerprint, "model": "another"})
    with pytest.raises(NasError, match=r"my-laptop is not at hand: its table was measured on 'another'.*and this is"):
        is_here("my-laptop", other)
    assert not is_here("a100", SimpleNamespace(device_kind="cuda", fingerprint={"model": "NVIDIA A100 SXM4 80 GB"}))
