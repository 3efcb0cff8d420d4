from dataclasses import replace

from nas.report.search_quality import SearchQuality, quality_sentences
from nas.report.sections.search_progress import search_progress


def test_the_progress_of_a_search_says_what_it_was_worth(complete):
    first, second = quality_sentences(complete.quality)
    assert "1.200 times that of random search and 1.091 times that of local search" in first
    assert "40 dominated when they were made" in second
    assert "88% of pairs" in second and "racing saved 31% of the images" in second
    assert first in search_progress(complete) and second in search_progress(complete)


def test_of_a_search_without_predictor_race_or_other_devices_only_the_rest_is_said(complete):
    plain = replace(complete.quality, order_right=None, saved_share=0.0)
    assert (
        quality_sentences(plain)[1]
        == f"{complete.quality.num_evaluations} evaluations; 40 dominated when they were made"
    )
    assert "shared with another device" in quality_sentences(replace(plain, num_shared=3))[1]


def test_an_old_search_has_no_such_figures(complete):
    assert "times that of" not in search_progress(replace(complete, quality=None))


def test_what_is_read_is_what_was_written(complete):
    assert SearchQuality.from_json(complete.quality.to_json()) == complete.quality
