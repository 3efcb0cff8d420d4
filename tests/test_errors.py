import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas import errors
from nas.errors import NasError, UsageError, did_you_mean


def test_an_error_says_what_happened_and_then_the_remedy():
    error = NasError("no table for 'a10'", "Measure it")
    assert str(error) == "no table for 'a10'. Measure it"
    assert (error.message, error.hint) == ("no table for 'a10'", "Measure it")
    assert str(NasError("no table")) == "no table"


def test_a_usage_error_is_an_error_that_the_user_can_mend():
    with pytest.raises(NasError):
        raise UsageError("'5' has no unit")


def test_the_close_match_comes_first_and_all_that_is_known_after_it():
    assert did_you_mean("a10", ["h200", "a100"]) == "Did you mean 'a100'? Known: a100, h200"


def test_without_a_close_match_only_what_is_known_is_said():
    assert did_you_mean("zzz", ["h200", "a100"]) == "Known: a100, h200"


@given(known=st.sets(st.text("abcdefgh", min_size=4, max_size=9), min_size=1), data=st.data())
def test_a_name_with_one_letter_missing_is_recognised(known, data):
    name = data.draw(st.sampled_from(sorted(known)))
    typed = name[:-1]
    proposed = did_you_mean(typed, known).split("'")[1]
    assert proposed in known
    assert proposed == name or len({*proposed} & {*typed}) > 0


def test_the_examples_of_the_docstrings_hold():
    assert doctest.testmod(errors).failed == 0
