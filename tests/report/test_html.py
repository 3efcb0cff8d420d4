from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from nas.report import ReportData, render
from nas.report.content import Documents
from nas.report.html import Column, Markup, embed_json, missing, table
from nas.report.sections.order import SECTIONS
from nas.report.sections.reproduction import DOWNLOADS
from nas.space.architecture import Architecture, Block, Stage

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--"


class Page(HTMLParser):
    """Reads a page as a browser would: tags, their attributes, what scripts hold, what is visible."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: dict[str, str] = {}
        self.visible = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            figure = next(
                (attributes["data-figure"] for tag, attributes in reversed(self.tags) if tag == "figure"), None
            )
            name = self.tags[-1][1].get("id") or (figure if "figure" in self.open else f"script {len(self.scripts)}")
            self.scripts[str(name)] = data
        elif self.open and self.open[-1] != "style":
            self.visible += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def text(complete: ReportData) -> str:
    return render(complete)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_one_well_formed_file_under_6_MB(text: str, page: Page) -> None:
    assert page.open == []
    assert len(text.encode()) < 6e6
    assert page.tags[0] == ("html", {"lang": "en"})
    assert text.count(get_plotlyjs()) == 1


def test_the_page_refers_to_nothing_outside_itself(text: str, page: Page) -> None:
    assert not {"link", "iframe", "img", "object", "base"} & {tag for tag, _ in page.tags}
    assert page.attributes("src") == []
    assert all(target.startswith("#") for target in page.attributes("href"))
    own = text.replace(get_plotlyjs(), "")
    assert not re.search(r"https?:|//cdn|url\(|@import", own)
    assert "default-src 'none'" in page.attributes("content")[0]
    assert "showSendToCloud: false" in own


def test_links_labels_and_figures_point_at_what_exists(page: Page) -> None:
    identities = page.attributes("id")
    assert len(identities) == len(set(identities))
    referred = [target[1:] for target in page.attributes("href")] + page.attributes("aria-labelledby")
    assert set(referred) <= set(identities)


def test_every_figure_has_a_caption_and_its_data(page: Page) -> None:
    names = page.attributes("data-figure")
    assert names == ["front", "fidelity", "ranking", "training", "hypervolume", "kinds", "directions", "bits", "depths"]
    assert [tag for tag, _ in page.tags].count("figcaption") == len(names)
    assert all(json.loads(page.scripts[name])["data"] for name in names)


def test_headings_run_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_the_embedded_data_are_the_data(page: Page, complete: ReportData) -> None:
    data = json.loads(page.scripts["report-data"])
    (device,) = data["devices"]
    evaluations = device["evaluations"]
    assert [dict(zip(evaluations["columns"], row, strict=True)) for row in evaluations["rows"]] == [
        row.to_row() | {"architecture": numbered(row.architecture, data["blocks"])} for row in complete.evaluations
    ]
    assert device["compare"] == [network.to_row() for network in complete.compare]
    assert {part for part, _ in DOWNLOADS} - {""} <= set(data) | set(device)
    assert [f"block-{number}" for number in range(len(data["blocks"]))] == [
        name for name in page.attributes("id") if name.startswith("block-")
    ]


def numbered(architecture: Architecture, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """An architecture with the place among all distinct blocks instead of each block."""
    document = architecture.to_dict()
    stages = [stage | {"blocks": [blocks.index(block) for block in stage["blocks"]]} for stage in document["stages"]]
    return document | {"stages": stages}


def test_every_device_has_its_own_panels_and_nothing_of_the_run_is_shown_twice(two_devices: ReportData) -> None:
    page = Page(render(two_devices))
    assert page.open == []
    assert page.attributes("value") == ["cpu", "a100"]
    identities = page.attributes("id")
    assert len(identities) == len(set(identities))
    assert page.attributes("data-device") == ["cpu", "a100"] * sum(section.per_device for section in SECTIONS)
    assert page.attributes("data-figure").count("front") == 2
    assert page.attributes("data-figure").count("training") == 1
    for warning in ("the fan was loud", "predicted"):
        assert page.visible.count(warning) >= 1


def test_tables_hold_every_network_of_the_front_with_its_command(page: Page, complete: ReportData) -> None:
    commands = page.attributes("data-copy")
    for row in complete.front:
        assert f"nas finetune --pick {row.id}" in commands
        assert f"nas finetune --pick {row.id}" in page.visible
    for row in complete.compare:
        assert row.name in page.visible


def test_a_page_without_any_result_has_every_section_and_says_what_adds_it(empty: ReportData) -> None:
    page = Page(render(empty))
    assert page.open == []
    assert page.attributes("data-figure") == []
    for name, title, *_ in SECTIONS:
        assert name in page.attributes("id")
        assert title in page.visible
    for command in ("nas search --device cpu --max-latency 5ms", "nas finetune", "nas compare", "nas profile"):
        assert command in page.visible


@pytest.mark.parametrize("part", ["compare", "training", "hypervolume", "table", "front", "evaluations", "documents"])
def test_a_page_lacking_one_part_is_complete(complete: ReportData, part: str) -> None:
    page = Page(render(replace(complete, **{part: {"table": None, "documents": Documents()}.get(part, ())})))
    assert page.open == []
    assert all(json.loads(page.scripts[name])["data"] for name in page.attributes("data-figure"))


def test_a_page_without_fine_tuning_says_that_its_accuracy_is_inherited(complete: ReportData) -> None:
    page = Page(render(replace(complete, compare=())))
    assert "inherited weights, not fine-tuned; not a test result" in page.visible
    assert "nas finetune --pick best" in page.visible


def test_hostile_text_stays_text_wherever_it_stands(complete: ReportData, page: Page) -> None:
    evil = Block.of(HOSTILE, note=HOSTILE, directions=("h",), mode=HOSTILE)
    architecture = Architecture(32, (Stage(16, (evil,)),), stem=HOSTILE)
    row = replace(complete.front[-1], architecture=architecture, provenance=HOSTILE)
    evaluation = replace(complete.evaluations[0], architecture=architecture, provenance=HOSTILE)
    network = replace(complete.compare[0], id=HOSTILE, name=HOSTILE, recipe=HOSTILE, source=HOSTILE)
    model = replace(complete.compare[2], name=HOSTILE)
    validation = complete.table.validation
    networks = (replace(validation.networks[0], id=HOSTILE),)
    data = replace(
        complete,
        **dict.fromkeys(("title", "command", "device", "backend"), HOSTILE),
        documents=Documents(manifest={"versions": {HOSTILE: HOSTILE}}),
        evaluations=(*complete.evaluations[:20], evaluation),
        front=(row,),
        compare=(network, model),
        table=replace(complete.table, validation=replace(validation, networks=networks)),
    )
    attacked = Page(render(data))
    assert attacked.open == []
    assert {tag for tag, _ in attacked.tags} == {tag for tag, _ in page.tags}
    assert attacked.attributes("onerror") == []
    figures = {
        shown: len(shown.attributes("data-figure")) for shown in (attacked, page)
    }  # an attack may leave no choice
    scripts = {shown: [tag for tag, _ in shown.tags].count("script") for shown in (attacked, page)}
    assert scripts[attacked] - figures[attacked] == scripts[page] - figures[page]
    assert json.loads(attacked.scripts["report-data"])["title"] == HOSTILE
    assert HOSTILE in attacked.visible


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=40, deadline=None)
@given(json_values)
def test_embedded_json_survives_and_cannot_leave_its_script(value) -> None:
    text = embed_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_numbers_that_json_does_not_know_become_null() -> None:
    assert json.loads(embed_json({"a": [math.nan, math.inf, 1.5]})) == {"a": [None, None, 1.5]}


def test_a_table_escapes_text_and_keeps_markup() -> None:
    page = Page(table("<caption>", (Column("<a>"), Column("b", numeric=False)), [["<i>", Markup("<b>bold</b>")]]))
    assert {"caption", "b"} <= {tag for tag, _ in page.tags}
    assert not {"a", "i"} & {tag for tag, _ in page.tags}
    assert page.attributes("class").count("number") == 2


def test_a_row_that_does_not_fit_its_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        table("two columns", (Column("a"), Column("b")), [["only one"]])


def test_a_command_can_be_copied_as_it_is_shown() -> None:
    page = Page(missing("Nothing.", "nas finetune --pick 'a b'"))
    assert page.attributes("data-copy") == ["nas finetune --pick 'a b'"]
    assert "nas finetune --pick 'a b'" in page.visible


def test_the_report_imports_neither_torch_nor_pandas_and_plotly_only_to_render() -> None:
    code = "import sys, nas.report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "timm", "numpy", "plotly"} & {name.split(".")[0] for name in loaded}


def test_the_audit_is_held_against_counting_macs(complete: ReportData) -> None:
    assert "Their MACs alone give 0.66." in render(complete)
