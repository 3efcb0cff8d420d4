from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from nas.report import ReportData
from nas.report.drawing import block_box, kinds_of, strips
from nas.report.sections.answer import answer
from nas.report.sections.comparison import comparison
from nas.report.sections.fidelity import fidelity
from nas.report.sections.front import front
from nas.report.sections.networks import networks
from nas.report.wording import milliseconds, percent, points
from nas.space.architecture import Block


def words(html: str) -> str:
    """The visible words of a piece of HTML, scripts left out."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<script.*?</script>", "", html))).split())


def test_the_four_numbers_say_what_kind_they_are_of(complete: ReportData) -> None:
    shown = words(answer(complete))
    assert "Test accuracy 97.8 % fine-tuned, test split" in shown
    assert re.search(r"Latency on cpu \S+ ms measured; \S+ ms \(\S+ to \S+\) predicted from measured blocks", shown)
    assert "+1.4 points test accuracy, against resnet10t (1.92 ms measured, the best as slow or slower)" in shown
    assert f"Front {len(complete.front)} networks" in shown


def test_the_caption_counts_what_lies_below_the_frame(complete: ReportData) -> None:
    missing = replace(complete.evaluations[0].architecture, stem="conv")  # not evaluated yet
    lowest = replace(complete.evaluations[0], architecture=missing, accuracy=0.01)
    before, after = (
        int(re.search(r"(\d+) of lower accuracy", words(front(data)))[1])
        for data in (complete, replace(complete, evaluations=(*complete.evaluations, lowest)))
    )
    assert after == before + 1


def test_a_member_measured_over_the_limit_is_marked(complete: ReportData) -> None:
    assert "> limit" not in words(networks(complete))
    over = replace(complete.front[-1], latency_measured_ms=1.7)
    assert "1.70 > limit" in words(networks(replace(complete, front=(*complete.front[:-1], over))))


def test_every_latency_of_a_trained_network_says_where_it_comes_from(complete: ReportData) -> None:
    unmeasured = replace(complete.compare[0], latency_ms=None)
    shown = words(comparison(replace(complete, compare=(unmeasured, *complete.compare[1:]))))
    assert f"{milliseconds(complete.front[-1].latency_ms)} predicted" in shown
    assert shown.count(" measured ") >= 4


def test_comparison_names_the_command_for_the_side_that_is_missing(complete: ReportData) -> None:
    only_searched = comparison(replace(complete, compare=complete.compare[:2]))
    only_models = comparison(replace(complete, compare=complete.compare[2:]))
    assert "nas compare" in only_searched
    assert "nas finetune" not in only_searched
    assert "nas finetune" in only_models
    assert "nas compare" not in only_models


def test_fidelity_shows_noise_and_the_macs_baseline_beside_the_table(complete: ReportData) -> None:
    shown = words(fidelity(complete))
    for text in ("latency table 4.1 % 0.94 +0.6 % 8.3 %", "MACs alone 21.0 % 0.71", "measuring again (noise) 1.8 %"):
        assert text in shown


def test_an_architecture_is_drawn_block_by_block(complete: ReportData) -> None:
    for row in complete.evaluations[:50]:
        architecture = row.architecture
        html = strips(architecture, kinds_of([row]))
        number_of_blocks = sum(len(stage.blocks) for stage in architecture.stages)
        assert html.count('class="block"') == number_of_blocks
        assert html.count('class="block plain"') == 2  # the stem and the classifier
        assert html.count('class="stage"') == len(architecture.stages) + 2


def test_a_block_shows_its_scans_as_grids_and_its_bits_only_if_quantised() -> None:
    block = Block.of("ssd", directions=("h", "v_flip"), mode="group", heads=4)
    html = block_box(block, ["ssd"])
    assert words(html) == "ssd h v_flip group heads 4"
    assert re.findall(r'href="#scan-(\w+)"', html) == ["h", "v_flip"]
    assert "8 bit" in words(block_box(replace(block, bits=8), ["ssd"]))


def test_numbers_are_printed_with_their_precision() -> None:
    assert [milliseconds(value) for value in (None, 0.13, 1.1, 120.0, 1234.5)] == ["–", "0.130", "1.10", "120", "1234"]
    assert percent(0.9782) == "97.8\u00a0%"
    assert [points(value) for value in (0.0141, -0.02, 0.0002, -0.0002)] == [
        "+1.4 points",
        "−2.0 points",
        "±0.0 points",
        "±0.0 points",
    ]
