import html
import json
import shutil
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.files import read_json, write_json
from nas.report.wording import times
from nas.run.run import Run
from nas.workflows.report import gather, report
from nas.workflows.requests import ReportRequest

RUN = Path("runs/tiny")


def front_ids():
    return {row["id"] for row in json.loads((RUN / "search/cpu/front.json").read_text())["front"]}


def test_the_page_names_every_member_of_the_front_and_every_model(finished):
    result = report(ReportRequest(run=RUN, output=None))
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert Path(result["report"]) == RUN / "report.html"
    assert result["bytes"] == len(page.encode())
    assert all(key in page for key in front_ids())
    assert "resnet10t@32" in page


def test_the_page_is_offline(finished):
    page = Path(report(ReportRequest(run=RUN, output=Path("page.html")))["report"]).read_text(encoding="utf-8")
    assert '<script src="http' not in page
    assert '<link rel="stylesheet" href="http' not in page


def test_the_data_of_the_page_is_that_of_the_files(finished):
    data = gather(Run(RUN))
    assert data.device == "cpu"
    assert data.max_latency_ms == 5.0
    assert data.command == "nas search --device cpu --max-latency 5ms"
    assert {row.id for row in data.front} == front_ids()
    assert len(data.evaluations) == 48
    measured = json.loads((RUN / "search/cpu/measured.json").read_text())
    assert all(row.latency_measured_ms == measured[row.id]["ms"] for row in data.front)
    assert [row.epoch for row in data.training] == [1, 2]
    assert all(isinstance(row.accuracy, float) for row in data.compare)
    (model,) = (row for row in data.compare if row.kind == "hand-designed")
    (verdict,) = (row.verdict for row in data.compare if row.kind == "hand-designed")
    page = Path(report(ReportRequest(run=RUN, output=Path("page.html")))["report"]).read_text(encoding="utf-8")
    assert html.escape(verdict) in page
    assert times(model.speed_up) in page  # the same figure as in compare.csv


def test_before_compare_the_fine_tuned_models_are_shown_unmeasured(finetuned, monkeypatch):
    monkeypatch.chdir(finetuned[0])
    data = gather(Run(RUN))
    assert {row.id for row in data.compare} == {model["id"] for model in finetuned[1]["models"]}
    assert all(row.latency_ms is None and row.kind == "searched" for row in data.compare)
    page = Path(report(ReportRequest(run=RUN, output=None))["report"]).read_text(encoding="utf-8")
    assert all(row.id in page for row in data.compare)


def test_a_search_alone_can_be_reported(searched_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(searched_folder)
    page = Path(report(ReportRequest(run=RUN, output=tmp_path / "page.html"))["report"]).read_text(encoding="utf-8")
    assert all(key in page for key in front_ids())


def test_a_report_that_cannot_be_made_says_why(finished):
    Path("folder").mkdir()
    with pytest.raises(NasError, match=r"cannot write folder.*--output"):
        report(ReportRequest(run=RUN, output=Path("folder")))
    shutil.rmtree(RUN / "search")
    with pytest.raises(NasError, match="no finished search"):
        report(ReportRequest(run=RUN, output=None))


@pytest.mark.parametrize("spoil", [lambda text: "", lambda text: text[:-1], lambda text: text + "x,y\n"])
def test_a_comparison_that_ends_too_early_is_damaged(finished, spoil):
    path = RUN / "compare.csv"
    path.write_text(spoil(path.read_text()))
    with pytest.raises(NasError, match=r"compare.csv is damaged"):
        gather(Run(RUN))


def test_a_page_on_several_devices_has_every_newest_search_and_says_what_it_leaves_out(nas, workspace, write_toy_table):
    write_toy_table(workspace, device="phone", scale=10.0)
    assert nas("search", "--device", "cpu", "--device", "phone", "--budget", 10, "--quiet").code == 0
    assert nas("search", "--device", "phone", "--budget", 12, "--quiet").code == 0  # the first is kept as phone-1
    data = gather(Run(RUN))
    assert (data.device, len(data.evaluations)) == ("phone", 12)
    assert [(other.device, len(other.evaluations)) for other in data.others] == [("cpu", 10)]
    assert data.warnings == ()
    write_toy_table(workspace, seed=4)  # the table of the cpu is measured again
    data = gather(Run(RUN))
    assert data.others == ()
    assert any("the search for cpu is left out" in text for text in data.warnings)


def test_latencies_of_a_comparison_stand_with_its_device_only(nas, finished, write_toy_table):
    write_toy_table(finished, device="phone", scale=10.0)
    assert gather(Run(RUN)).compare and not gather(Run(RUN)).warnings
    assert nas("search", "--device", "phone", "--budget", 10, "--quiet").code == 0
    data = gather(Run(RUN))
    (cpu,) = data.others
    assert (data.device, cpu.device) == ("phone", "cpu")
    assert {row.device for row in cpu.compare} == {"cpu"}
    assert all(row.latency_ms > 0 for row in cpu.compare) and any(row.verdict for row in cpu.compare)
    assert all(row.latency_ms is row.verdict is row.provenance is None for row in data.compare)
    assert [row.accuracy for row in data.compare] == [row.accuracy for row in cpu.compare]
    assert any("nas compare --device phone" in text for text in data.warnings)
    assert report(ReportRequest(run=RUN, output=None))["bytes"] > 0


def test_a_front_that_exceeds_the_limit_when_it_is_measured_is_a_warning(finished):
    path = RUN / "search/cpu/measured.json"
    measured = read_json(path)
    slow = min(front_ids())
    write_json(path, measured | {slow: measured[slow] | {"ms": 9.0}})
    (text,) = gather(Run(RUN)).warnings
    assert "1 of the front's networks exceed the limit of 5.0 ms" in text and slow in text
