import contextlib
import csv
import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from nas.data import datasets as data_module
from nas.errors import NasError
from nas.progress import Console
from nas.report.search_quality import SearchQuality, quality_sentences
from nas.run.run import Run
from nas.run.search import Search
from nas.run.search_settings import Limits, SearchSettings
from nas.search.evaluation_row import COLUMNS
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.workflows.dry_run.plans import plan_search
from nas.workflows.requests import RayWorkers, SearchRequest
from nas.workflows.search import command as module
from nas.workflows.search.command import evaluators, search
from nas.workflows.search.inherited_accuracy import InheritedAccuracy

RUN = Path("runs/tiny")
PRESETS = {preset.architecture.id: preset for preset in SearchSpace.load("toy").presets.values()}
WHOLE_SPACE = 100  # a budget beyond the 48 architectures of the toy space


def search_toy(
    *,
    devices=("cpu",),
    resume=False,
    dry_run=False,
    measured_only=False,
    budget=WHOLE_SPACE,
    seed=0,
    racing=True,
    num_workers=1,
    **limits,
):
    settings = SearchSettings(limits=Limits(**limits), budget=budget, seed=seed, racing=racing)
    request = SearchRequest(
        run=RUN,
        devices=devices,
        settings=settings,
        measured_only=measured_only,
        resume=resume,
        workers=RayWorkers(count=num_workers),
    )
    console = Console(quiet=True)
    return {"dry_run": plan_search(request, console)} if dry_run else search(request, console).to_json()


def brute_force_front(truth, **limits):
    """Ids of the non-dominated ones among those within the limits, by comparing every pair."""
    rows = {key: row for key, row in truth.items() if all(row[name] <= limit for name, limit in limits.items())}

    def dominated(one):
        return any(
            other["accuracy"] >= one["accuracy"]
            and other["latency_ms"] <= one["latency_ms"]
            and (other["accuracy"], other["latency_ms"]) != (one["accuracy"], one["latency_ms"])
            for other in rows.values()
        )

    return {key for key, row in rows.items() if not dominated(row)}


def median_of(truth, name):
    return sorted(row[name] for row in truth.values())[len(truth) // 2]


def recorded(device="cpu"):
    return [json.loads(line) for line in (RUN / "search" / device / "evaluations.jsonl").read_text().splitlines()]


def front_csv(device="cpu"):
    return (RUN / "search" / device / "front.csv").read_bytes()


@pytest.fixture
def evaluated(monkeypatch):
    """Ids of the architectures whose accuracy was measured, in order."""
    from nas.evaluation.activation_cache import SubnetCounts

    ids = []
    num_correct = SubnetCounts.num_correct

    def spy(counts, architecture, part):
        ids.extend([architecture.id] if part == 0 else [])
        return num_correct(counts, architecture, part)

    monkeypatch.setattr(SubnetCounts, "num_correct", spy)
    return ids


def test_the_toy_fixture_is_worth_searching(toy_truth):
    assert len(brute_force_front(toy_truth)) >= 3
    assert len({row["accuracy"] for row in toy_truth.values()}) > 10


def test_nsga2_finds_exactly_the_brute_force_front(workspace, toy_truth):
    front = search_toy()["fronts"]["cpu"]
    assert {row["id"] for row in front} == brute_force_front(toy_truth)
    for row in front:
        assert {name: row[name] for name in toy_truth[row["id"]]} == toy_truth[row["id"]]


@pytest.mark.parametrize(("limit", "figure"), [
    ("max_latency_ms", "latency_ms"), ("max_params", "num_params"), ("max_size_bytes", "size_bytes")
])  # fmt: skip
def test_a_limit_gives_the_front_within_it_and_nothing_beyond_it_is_evaluated(
    workspace, toy_truth, evaluated, limit, figure
):
    at_most = median_of(toy_truth, figure)
    front = search_toy(**{limit: at_most})["fronts"]["cpu"]
    within = {key for key, row in toy_truth.items() if row[figure] <= at_most}
    assert {row["id"] for row in front} == brute_force_front(toy_truth, **{figure: at_most})
    assert {row["id"] for row in recorded()} == within
    assert set(evaluated) == within | PRESETS.keys()  # those are judged whatever the limit
    assert all(row[figure] <= at_most and row["feasible"] for row in recorded())


def test_all_limits_hold_together(workspace, toy_truth):
    limits = {figure: median_of(toy_truth, figure) for figure in ("latency_ms", "num_params", "size_bytes")}
    front = search_toy(
        max_latency_ms=limits["latency_ms"], max_params=limits["num_params"], max_size_bytes=limits["size_bytes"]
    )["fronts"]["cpu"]
    assert {row["id"] for row in front} == brute_force_front(toy_truth, **limits)


def test_min_accuracy_keeps_those_of_the_front_that_reach_it(workspace, toy_truth):
    front = brute_force_front(toy_truth)
    least = sorted(toy_truth[key]["accuracy"] for key in front)[1]
    found = search_toy(min_accuracy=least)["fronts"]["cpu"]
    assert {row["id"] for row in found} == {key for key in front if toy_truth[key]["accuracy"] >= least}


def test_a_min_accuracy_out_of_reach_names_one_that_the_resumed_search_reaches(workspace, evaluated):
    with pytest.raises(NasError, match=r"the best has (0\.\d+)") as refusal:
        search_toy(min_accuracy=1.0)
    assert not (RUN / "search" / "cpu" / "front.json").exists()
    reachable = float(refusal.value.hint.split("--min-accuracy ")[1].split(":")[0])
    evaluated.clear()
    assert search_toy(min_accuracy=reachable, resume=True)["fronts"]["cpu"]
    assert evaluated == []


def test_the_same_seed_gives_the_same_bytes_and_the_first_search_is_kept(workspace):
    search_toy(budget=20)
    first = front_csv()
    search_toy(budget=20)
    assert front_csv() == first == front_csv("cpu-1")
    search_toy(budget=20, seed=1)
    assert [row["id"] for row in recorded()] != [row["id"] for row in recorded("cpu-1")]
    assert sorted(path.name for path in (RUN / "search").iterdir()) == ["cpu", "cpu-1", "cpu-2"]


def test_files_have_the_columns_of_the_contract(workspace):
    result = search_toy(budget=20)
    folder = RUN / "search" / "cpu"
    with (folder / "front.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames) == COLUMNS == (
        "id", "accuracy", "latency_ms", "latency_low_ms", "latency_high_ms", "latency_measured_ms", "provenance",
        "num_params", "macs", "size_bytes", "bitops", "resolution", "feasible", "architecture",
    )  # fmt: skip
    assert [set(row) for row in recorded()] == [{*COLUMNS, "accuracy_share", "counted", "crc32"}] * 20
    assert [row["id"] for row in rows] == [row["id"] for row in result["fronts"]["cpu"]]
    latencies = [float(row["latency_ms"]) for row in rows]
    assert latencies == sorted(latencies)
    assert all(float(row["latency_low_ms"]) < float(row["latency_ms"]) < float(row["latency_high_ms"]) for row in rows)
    history = [line.split(",") for line in (folder / "hypervolume.csv").read_text().splitlines()]
    assert history[0] == ["evaluations", "hypervolume"]
    assert [float(volume) for _, volume in history[1:]] == sorted(float(volume) for _, volume in history[1:])
    assert history[-1][0] == "20"


class Stop(Exception):
    """Ends a search in its middle."""


def interrupt_after(monkeypatch, count, devices=("cpu",)):
    """Let a search fall over when `count` evaluations are recorded."""
    append = Search.append
    done = []

    def limited(place, row):
        append(place, row)
        done.append(place)
        if len(done) == count:
            raise Stop

    monkeypatch.setattr(Search, "append", limited)
    with pytest.raises(Stop):
        search_toy(budget=30, devices=devices)
    monkeypatch.setattr(Search, "append", append)


def test_an_interrupted_search_is_resumed_to_the_same_bytes_and_repeats_nothing(workspace, monkeypatch, evaluated):
    search_toy(budget=30)
    expected = {name: (RUN / "search" / "cpu" / name).read_bytes() for name in ("front.csv", "hypervolume.csv")}
    expected_rows = recorded()
    shutil.rmtree(RUN / "search")
    interrupt_after(monkeypatch, 13)
    log = RUN / "search" / "cpu" / "evaluations.jsonl"
    log.write_bytes(log.read_bytes() + b'{"id": "0123')  # what a kill within a write leaves
    evaluated.clear()
    search_toy(budget=30, resume=True)
    assert {name: (RUN / "search" / "cpu" / name).read_bytes() for name in expected} == expected
    assert recorded() == expected_rows
    assert len(evaluated) == 30 - 13


def test_an_interrupted_search_is_neither_overwritten_nor_resumed_with_other_settings(workspace, monkeypatch):
    interrupt_after(monkeypatch, 5)
    with pytest.raises(NasError, match=r"interrupted search.*--resume"):
        search_toy(budget=30)
    with pytest.raises(NasError, match="another seed"):
        search_toy(budget=30, seed=1, resume=True)
    with pytest.raises(NasError, match="another limits"):
        search_toy(budget=30, max_latency_ms=1.0, resume=True)
    weights = RUN / "supernet.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(NasError, match="another weights_sha256"):
        search_toy(budget=30, resume=True)
    assert len(recorded()) == 5


def test_a_search_for_two_devices_that_stopped_at_the_second_is_resumed(
    workspace, write_toy_table, monkeypatch, evaluated
):
    write_toy_table(workspace, device="phone", seed=4)
    both = ("cpu", "phone")
    search_toy(budget=30, devices=both)
    expected = {device: front_csv(device) for device in both}
    shutil.rmtree(RUN / "search")
    interrupt_after(monkeypatch, 42, devices=both)
    evaluated.clear()
    with pytest.raises(NasError, match=r"search/phone holds an interrupted search"):
        search_toy(budget=30, devices=both)
    assert evaluated == []  # not after the first device was searched once more
    search_toy(budget=30, devices=both, resume=True)
    assert {device: front_csv(device) for device in both} == expected


@pytest.mark.slow
def test_a_search_killed_half_way_and_resumed_gives_the_front_of_an_uninterrupted_one(workspace, spawn):
    search_toy(budget=40)
    expected = front_csv()
    shutil.rmtree(RUN / "search")
    log = RUN / "search" / "cpu" / "evaluations.jsonl"
    words = ("search", "--run", RUN, "--device", "cpu", "--budget", 40, "--racing")
    process = spawn(*words, cwd=workspace)
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 15):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 15 <= log.read_text().count("\n") < 40
    assert not (RUN / "search" / "cpu" / "front.json").exists()
    resumed = spawn(*words, "--resume", cwd=workspace)
    assert resumed.wait() == 0, resumed.stderr.read()
    assert front_csv() == expected


def search_in_process(folder):
    """Search in a process of its own, to be killed; its parent has imported everything already."""
    os.chdir(folder)
    search_toy(budget=24, resume=True)


@pytest.mark.slow
def test_a_search_killed_at_twenty_random_moments_is_resumed_to_the_same_front_each_time(workspace):
    start = time.monotonic()
    search_toy(budget=24)
    seconds = time.monotonic() - start
    names = ("front.csv", "front.json", "hypervolume.csv", "evaluations.jsonl")
    expected = {name: (RUN / "search" / "cpu" / name).read_bytes() for name in names}
    rng, torn = np.random.default_rng(0), set()
    for _ in range(20):
        shutil.rmtree(RUN / "search")
        child = multiprocessing.get_context("fork").Process(target=search_in_process, args=(workspace,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child computes by one thread, and is killed
            child.start()
        child.join(rng.uniform(0, seconds))
        child.kill()
        child.join()
        log = RUN / "search" / "cpu" / "evaluations.jsonl"
        torn.add(log.read_text().count("\n") if log.exists() else 0)
        search_toy(budget=24, resume=True)
        assert {name: (RUN / "search" / "cpu" / name).read_bytes() for name in names} == expected
    assert len(torn) > 5


@pytest.mark.slow
def test_two_workers_find_the_front_of_one_process(workspace, spawn):
    search_toy(budget=30)
    names = ("front.csv", "front.json", "hypervolume.csv", "evaluations.jsonl")
    expected = {name: (RUN / "search" / "cpu" / name).read_bytes() for name in names}
    shutil.rmtree(RUN / "search")
    process = spawn("search", "--device", "cpu", "--budget", 30, "--racing", "--workers", 2, cwd=workspace)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert {name: (RUN / "search" / "cpu" / name).read_bytes() for name in names} == expected
    assert "times that of random search" in out


def test_one_worker_needs_no_ray_and_a_cluster_does(workspace, monkeypatch):
    asked = []

    @contextlib.contextmanager
    def no_ray(expensive, count, address, say):
        asked.append((len(expensive), count, address))
        raise Stop
        yield

    monkeypatch.setattr(module, "ray_workers", no_ray)
    search_toy(budget=5)
    for num_workers, address in ((2, None), (1, "127.0.0.1:6379")):
        with (
            pytest.raises(Stop),
            evaluators(
                InheritedAccuracy(Run(RUN)), RayWorkers(count=num_workers, address=address), Console(quiet=True)
            ),
        ):
            pass
    assert asked == [(1, 2, None), (1, 1, "127.0.0.1:6379")]


def test_a_race_finds_the_front_of_whole_evaluations_and_says_what_it_saved(workspace, toy_truth):
    result = search_toy()
    assert {row["id"] for row in result["fronts"]["cpu"]} == brute_force_front(toy_truth)
    stopped = [row for row in recorded() if row["accuracy_share"] < 1]
    assert stopped
    assert not {row["id"] for row in stopped} & {row["id"] for row in result["fronts"]["cpu"]}
    saved = 1 - sum(row["accuracy_share"] for row in recorded()) / len(recorded())
    assert result["sanity"]["cpu"]["saved_share"] == pytest.approx(saved)
    search_toy(racing=False)
    assert {row["accuracy"] for row in recorded()} == {row["accuracy"] for row in toy_truth.values()}
    assert {row["accuracy_share"] for row in recorded()} == {1.0}


@pytest.fixture
def counts_by_macs(monkeypatch):
    """Count right answers that rise with multiply-adds, so that no figure depends on how this CPU rounds."""
    from nas.evaluation.activation_cache import SubnetCounts

    def num_correct(counts, architecture, part):
        space = counts.supernet.space
        macs, most = (architecture_cost(one, space.num_classes).macs for one in (architecture, space.largest()))
        return round((0.4 + 0.5 * macs / most) * len(counts.parts[part]))

    monkeypatch.setattr(SubnetCounts, "num_correct", num_correct)


def test_every_result_says_what_it_was_worth(workspace, write_toy_table, counts_by_macs):
    write_toy_table(workspace, device="phone", scale=10.0)
    sanity = search_toy(devices=("cpu", "phone"), budget=30)["sanity"]
    for device, shared in (("cpu", 0), ("phone", 20)):
        found = json.loads((RUN / "search" / device / "front.json").read_text())["sanity"]
        assert found == sanity[device]
        assert found["num_evaluations"] == 30
        assert found["num_shared"] >= shared
        assert 0 <= found["num_wasted"] < 30
        assert 0.5 < found["order_right"] <= 1
        assert found["control"].keys() == {"random", "local"}
        assert {name: history[-1][1] for name, history in found["control_history"].items()} == found["control"]
        first, second = quality_sentences(SearchQuality.from_json(found))
        assert "times that of random search and" in first
        assert "30 evaluations" in second and "dominated when they were made" in second
    assert sanity["cpu"]["num_shared"] == 0


def test_the_front_so_far_is_on_disk_while_the_search_goes_on(workspace, monkeypatch):
    interrupt_after(monkeypatch, 13)
    with (RUN / "search" / "cpu" / "front.csv").open(newline="") as file:
        so_far = {row["id"]: (float(row["accuracy"]), float(row["latency_ms"])) for row in csv.DictReader(file)}
    known = {row["id"]: (row["accuracy"], row["latency_ms"]) for row in recorded()[:12]}
    for key, (accuracy, latency) in known.items():
        beaten = any(a >= accuracy and t <= latency and (a, t) != (accuracy, latency) for a, t in known.values())
        assert beaten or key in so_far


def test_a_limit_out_of_reach_names_the_smallest_latency_before_any_weights_or_torch_are_loaded(
    workspace, spawn, toy_truth
):
    (RUN / "supernet.safetensors").write_bytes(b"no weights at all")
    code = (
        "import sys; from nas.cli import main\n"
        "try: main()\n"
        "finally: print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    process = spawn("search", "--device", "cpu", "--max-latency", "1us", cwd=workspace, main=code)
    out, err = process.communicate()
    assert process.returncode == 3, err
    least = min(row["latency_ms"] for row in toy_truth.values())
    assert "no architecture of toy is under 1 us on cpu: the smallest reachable latency is" in err
    assert f"{1000 * least:.3g} us" in err
    assert not {"torch", "timm", "ray", "pymoo", "optuna", "pandas", "plotly"} & set(out.split())
    assert not (RUN / "search").exists()


def test_the_limit_that_the_refusal_proposes_can_be_reached(workspace):
    with pytest.raises(NasError) as refusal:
        search_toy(max_latency_ms=1e-3)
    proposed = float(refusal.value.hint.removeprefix("--max-latency ").removesuffix("ms"))
    assert search_toy(max_latency_ms=proposed, dry_run=True)["dry_run"]


def test_limits_that_no_candidate_holds_are_refused_without_an_evaluation(workspace, evaluated):
    with pytest.raises(NasError, match="num_params <= 10: the smallest num_params found is"):
        search_toy(max_params=10.0)
    assert evaluated == []
    assert search_toy(budget=5)["fronts"]["cpu"]  # and the refused search does not stand in the way


def test_a_dry_run_evaluates_and_writes_nothing(workspace, evaluated, monkeypatch):
    monkeypatch.setattr("nas.workflows.dry_run.plans.evaluation_seconds", lambda run: 1.0)
    found = search_toy(dry_run=True)["dry_run"]["cpu"]
    assert found["size"] == 48
    assert found["settings"]["budget"] == WHOLE_SPACE
    assert evaluated == []
    assert not (RUN / "search").exists()


def test_several_devices_evaluate_each_subnet_once_and_differ_in_latency_only(workspace, write_toy_table, evaluated):
    write_toy_table(workspace, device="phone", scale=10.0)
    fronts = search_toy(devices=("cpu", "phone"), racing=False)["fronts"]
    assert len(evaluated) == len(set(evaluated)) == 48
    assert {row["id"]: row["accuracy"] for row in recorded("cpu")} == {
        row["id"]: row["accuracy"] for row in recorded("phone")
    }
    assert min(row["latency_ms"] for row in fronts["phone"]) > max(row["latency_ms"] for row in fronts["cpu"])


def test_searching_never_sees_the_test_split(workspace, monkeypatch):
    load = data_module.load_dataset
    decided_on = []

    def guarded(name, seed=0):
        def forbidden():
            raise AssertionError("a search asked for the test split")

        def watched():
            decided_on.append(name)
            return dataset.make_validation()

        dataset = load(name, seed)
        return dataclasses.replace(dataset, make_test=forbidden, make_validation=watched)

    monkeypatch.setattr(data_module, "load_dataset", guarded)
    search_toy(budget=5)
    assert decided_on == ["digits"]


def test_predicted_latencies_are_refused_when_only_measured_ones_are_wanted(workspace, write_toy_table):
    write_toy_table(workspace, device="phone", provenance="predicted")
    with pytest.raises(NasError, match="the latencies of phone are predicted"):
        search_toy(devices=("phone",), measured_only=True)
    front = search_toy(devices=("phone",), budget=5)["fronts"]["phone"]
    assert {row["provenance"] for row in front} == {"predicted"}


def test_a_table_of_another_space_and_an_untrained_run_are_refused(workspace):
    manifest = json.loads((RUN / "run.json").read_text())
    other = {**manifest["space_definition"], "resolution": [16]}
    (RUN / "run.json").write_text(json.dumps({**manifest, "space_definition": other}))
    with pytest.raises(NasError, match="was made for toy"):
        search_toy()
    (RUN / "run.json").write_text(json.dumps(manifest))
    (RUN / "supernet.safetensors").unlink()
    with pytest.raises(NasError, match="no trained supernet"):
        search_toy()
    with pytest.raises(NasError, match="nas profile --device box"):
        search_toy(devices=("box",))


def test_without_a_table_of_its_own_a_cpu_takes_the_shipped_one_of_its_kind(workspace):
    header = next(Path("latency_tables/cpu").glob("*.json"))
    assert search_toy(budget=5)["tables"]["cpu"]["device"] == "cpu"
    header.unlink()
    shutil.rmtree(RUN / "search")
    assert search_toy(budget=5)["tables"]["cpu"]["device"] == "cpu-x86-avx512"


def test_a_supernet_that_does_not_fit_the_space_or_is_broken_is_refused(workspace):
    from safetensors.numpy import save_file

    (RUN / "supernet.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(NasError, match="is broken"):
        search_toy(budget=5)
    shutil.rmtree(RUN / "search")
    save_file({}, RUN / "supernet.safetensors")
    with pytest.raises(NasError, match="does not fit"):
        search_toy(budget=5)


def presets_csv(device="cpu"):
    with (RUN / "search" / device / "presets.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        return tuple(reader.fieldnames), list(reader)


def test_every_preset_is_judged_by_the_same_weights_and_the_same_table(workspace, toy_truth, evaluated):
    at_most = median_of(toy_truth, "latency_ms")
    result = search_toy(max_latency_ms=at_most, budget=10)
    columns, rows = presets_csv()
    assert columns == ("name", "source", *COLUMNS)
    assert (
        [row["name"] for row in rows]
        == [row["name"] for row in result["presets"]["cpu"]]
        == ["mobilenet", "groupmamba"]
    )
    for row in rows:
        truth = toy_truth[row["id"]]
        assert float(row["accuracy"]) == truth["accuracy"]
        assert float(row["latency_ms"]) == pytest.approx(truth["latency_ms"])
        assert row["feasible"] == str(truth["latency_ms"] <= at_most)
        assert PRESETS[row["id"]].source == row["source"]
    assert len(evaluated) == len(set(evaluated))


def test_presets_within_the_limits_are_evaluations_like_others_and_the_rest_are_not(workspace, toy_truth):
    slowest = max(toy_truth[key]["latency_ms"] for key in PRESETS)
    search_toy(budget=10)
    assert PRESETS.keys() <= {row["id"] for row in recorded()}
    search_toy(budget=10, max_latency_ms=0.999 * slowest)
    assert not PRESETS.keys() <= {row["id"] for row in recorded()}
    assert {row["feasible"] for row in presets_csv()[1]} >= {"False"}


def test_a_preset_over_the_limit_is_evaluated_once_also_after_a_resume(workspace, toy_truth, evaluated):
    at_most = 0.999 * min(toy_truth[key]["latency_ms"] for key in PRESETS)
    search_toy(budget=10, max_latency_ms=at_most)
    before = presets_csv()
    assert all(evaluated.count(key) == 1 for key in PRESETS)
    (RUN / "search" / "cpu" / "front.json").unlink()  # as if it had been killed at the very end
    evaluated.clear()
    search_toy(budget=10, max_latency_ms=at_most, resume=True)
    assert evaluated == []
    assert presets_csv() == before


def test_a_dry_run_prices_the_presets(workspace):
    shown = search_toy(dry_run=True)["dry_run"]["cpu"]["presets"]
    assert shown.keys() == {"mobilenet", "groupmamba"}
    assert all("ms" in text or "us" in text for text in shown.values())
