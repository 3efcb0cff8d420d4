"""The page in a real browser: what a reader can do with it. Skipped where there is no Chromium or no Playwright."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nas.report import ReportData, render
from nas.report.drawing import kinds_of, strips
from nas.search.evaluation_row import EvaluationRow

playwright = pytest.importorskip("playwright.sync_api", reason="needs `pip install playwright` (the dev extra)")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Opened:
    """An open page with what went wrong in it and what it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Callable[..., Opened]:
    def opener(data: ReportData, size: dict[str, int] = DESKTOP, **context: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(render(data), encoding="utf-8")
        page = browser.new_context(viewport=size, **context).new_page()
        opened = Opened(page)
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.goto(path.as_uri())
        if context.get("java_script_enabled", True):
            page.wait_for_selector("body[data-drawn]", state="attached")
        return opened

    return opener


def unpacked(row: EvaluationRow) -> dict[str, Any]:
    """The row as the page unpacks it: its architecture in JSON types."""
    columns = row.to_row()
    return columns | {"architecture": json.loads(columns["architecture"])}


def click_point(page: Any, identity: str) -> None:
    """Click the middle of a point of the front's figure, as a hand would."""
    place = page.evaluate(
        """identity => {
          const plot = document.querySelector('.device:not([hidden]) [data-figure=front] .plot');
          const trace = plot.data.find(each => each.name.startsWith('front (validation, predicted'));
          const number = trace.ids.indexOf(identity), box = plot.getBoundingClientRect();
          const {xaxis, yaxis} = plot._fullLayout;
          plot.scrollIntoView({block: 'center'});
          const at = plot.getBoundingClientRect();
          return [at.x + xaxis._offset + xaxis.d2p(trace.x[number]), at.y + yaxis._offset + yaxis.d2p(trace.y[number])];
        }""",
        identity,
    )
    page.mouse.move(*place)
    page.wait_for_selector(".hoverlayer .hovertext", state="attached")
    page.mouse.click(*place)


def test_a_reader_switches_devices_and_opens_architectures_and_nothing_leaves_the_page(
    two_devices: ReportData, open_page: Callable[..., Opened]
) -> None:
    opened = open_page(two_devices)
    page, (other,) = opened.page, two_devices.others
    click_point(page, two_devices.front[0].id)
    assert page.locator("#card h2").inner_text() == two_devices.front[0].id
    stages = two_devices.front[0].architecture.stages
    assert page.locator("#card .block:not(.plain)").count() == sum(len(stage.blocks) for stage in stages)
    page.keyboard.press("Escape")
    assert not page.locator("#card").is_visible()

    assert not page.locator("[data-device=a100] table").first.is_visible()
    page.get_by_label("a100", exact=True).check()
    page.wait_for_selector("body[data-drawn=a100]", state="attached")
    assert not page.locator(".device[data-device=cpu] table").first.is_visible()
    shown = page.locator(".device[data-device=a100] [data-figure=front] .plot")
    assert shown.evaluate("plot => plot.data.find(each => each.name.startsWith('front')).ids") == [
        row.id for row in other.front
    ]
    page.locator("#networks .device[data-device=a100] button.network").last.focus()
    page.keyboard.press("Enter")
    assert page.locator("#card h2").inner_text() == other.front[-1].id
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_a_click_on_a_heading_sorts_by_value_and_the_downloads_are_the_data(
    complete: ReportData, open_page: Callable[..., Opened]
) -> None:
    page = open_page(complete).page
    heading = page.locator("#networks th button", has_text="params")
    column = page.locator("#networks thead th").all_inner_texts().index("params")
    for order, backwards in (("ascending", False), ("descending", True)):
        heading.click()
        assert page.locator(f"#networks th[aria-sort={order}]").count() == 1
        ids = page.locator("#networks tbody button.network").all_inner_texts()
        costs = {row.id: float(f"{row.num_params:.3g}") for row in complete.front}
        shown = [costs[identity] for identity in ids]
        assert shown == sorted(shown, reverse=backwards), column
    assert page.evaluate("rows('evaluations')") == [unpacked(row) for row in complete.evaluations]
    with page.expect_download() as waiting:
        page.locator("button.download", has_text="front.csv").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1 + len(complete.front)


@pytest.mark.slow
def test_a_text_in_a_download_is_no_formula(complete: ReportData, open_page: Callable[..., Opened]) -> None:
    page = open_page(complete).page
    given = [{"name": "=1+1", "points": -0.5, "note": 'say "a, b"'}, {"name": None, "points": 2, "note": ["x"]}]
    text = page.evaluate("rows => csv(rows)", given)
    found = list(csv.reader(io.StringIO(text)))
    assert found == [["name", "points", "note"], ["'=1+1", "-0.5", 'say "a, b"'], ["", "2", '["x"]']]


@pytest.mark.slow
def test_what_is_clicked_is_drawn_as_python_draws_it(complete: ReportData, open_page: Callable[..., Opened]) -> None:
    page = open_page(complete).page
    kinds = kinds_of((*complete.evaluations, *complete.front))
    for row in complete.evaluations[:5]:
        page.evaluate("id => openCard(id, document.body)", row.id)
        wanted = page.evaluate(
            "html => { const box = document.createElement('div'); box.innerHTML = html; return box.innerHTML; }",
            strips(row.architecture, kinds),
        )
        assert page.locator("#card .drawing").inner_html() == wanted


@pytest.mark.slow
def test_five_thousand_evaluations_show_their_front_within_three_seconds(
    complete: ReportData, open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    many = tuple(
        replace(row, architecture=replace(row.architecture, resolution=32 + number))
        for number, row in enumerate(complete.evaluations * 17)
    )[:5000]
    times = []
    for _ in range(3):  # on a busy machine the best of three
        opened = open_page(replace(complete, evaluations=many))
        times.append(opened.page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
        assert opened.complaints == []
    assert (tmp_path / "report.html").stat().st_size < 7e6
    assert min(times) < 3000


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(two_devices: ReportData, open_page: Callable[..., Opened], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = open_page(two_devices, color_scheme=scheme).page
    for opener in (None, "#networks button.network"):
        if opener:
            page.locator(opener).first.click()
        found = axe.Axe().run(page).response["violations"]
        bad = {each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")}
        assert bad == {}


@pytest.mark.slow
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_only_tables_scroll_sideways(two_devices: ReportData, open_page: Callable[..., Opened], size: Any) -> None:
    page = open_page(two_devices, size).page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.slow
def test_without_scripts_both_devices_can_be_read(two_devices: ReportData, open_page: Callable[..., Opened]) -> None:
    page = open_page(two_devices, java_script_enabled=False).page
    for each in (two_devices, *two_devices.others):
        assert page.locator(f"[data-device={each.device}] table").first.is_visible()
    assert page.locator("fieldset.switch").is_hidden()
    assert page.locator(".portrait").first.is_visible()
