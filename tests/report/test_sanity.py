from nas.report.evidence import search_progress
from nas.report.sanity import quality_sentences


def test_the_progress_of_a_search_says_what_it_was_worth(complete):
    first, second = quality_sentences(complete.sanity)
    assert "1.200 times that of random search and 1.091 times that of local search" in first
    assert "40 dominated when they were made" in second
    assert "88% of pairs" in second and "racing saved 31% of the images" in second
    assert first in search_progress(complete) and second in search_progress(complete)


def test_of_a_search_without_predictor_race_or_other_devices_only_the_rest_is_said(complete):
    plain = {**complete.sanity, "order_right": None, "saved_share": 0.0}
    assert (
        quality_sentences(plain)[1]
        == f"{complete.sanity['num_evaluations']} evaluations; 40 dominated when they were made"
    )
    assert "shared with another device" in quality_sentences({**plain, "num_shared": 3})[1]


def test_an_old_search_has_no_such_figures():
    assert quality_sentences({}) == []
