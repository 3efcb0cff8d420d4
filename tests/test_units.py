import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import UsageError
from nas.units import (
    BYTES,
    COUNTS,
    MILLISECONDS,
    format_bytes,
    format_count,
    format_milliseconds,
    format_seconds,
    parse_bytes,
    parse_count,
    parse_milliseconds,
)

POSITIVE = st.floats(1e-6, 1e12, allow_nan=False)
CASES = [(parse_milliseconds, MILLISECONDS), (parse_count, COUNTS), (parse_bytes, BYTES)]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_milliseconds, "5ms", 5.0),
        (parse_milliseconds, "800us", 0.8),
        (parse_milliseconds, "800 µs", 0.8),
        (parse_milliseconds, "0.01s", 10.0),
        (parse_milliseconds, "1e3 ns", 1e-3),
        (parse_milliseconds, ".5ms", 0.5),
        (parse_count, "70000", 70_000.0),
        (parse_count, "300k", 3e5),
        (parse_count, "5M", 5e6),
        (parse_count, "1.2G", 1.2e9),
        (parse_bytes, "2MB", 2e6),
        (parse_bytes, "500kB", 5e5),
        (parse_bytes, "1MiB", 1024.0**2),
    ],
)
def test_numbers_are_read_with_their_units(parse, text, value):
    assert parse(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("parse", "factors"), CASES)
@given(number=POSITIVE, data=st.data())
def test_every_number_with_every_unit_is_read_back(parse, factors, number, data):
    unit = data.draw(st.sampled_from(sorted(factors)))
    assert parse(f"{number!r}{unit}") == number * factors[unit]


@pytest.mark.parametrize(
    ("write", "parse"),
    [(format_milliseconds, parse_milliseconds), (format_count, parse_count), (format_bytes, parse_bytes)],
)
@given(number=st.floats(1, 9e11))
def test_what_is_written_is_read_back_within_its_digits(write, parse, number):
    assert parse(write(number)) == pytest.approx(number, rel=0.5 if write is format_bytes and number < 10 else 6e-3)


@given(number=st.floats(1e-5, 9e4), factor=st.floats(1.02, 1e3))
def test_a_longer_time_never_reads_as_a_shorter_one(number, factor):
    assert parse_milliseconds(format_milliseconds(number * factor)) >= parse_milliseconds(format_milliseconds(number))


@pytest.mark.parametrize(
    ("parse", "text", "proposed"), [(parse_milliseconds, "5", "Write 5ms"), (parse_bytes, "2", "Write 2MB")]
)
def test_a_bare_number_is_a_usage_error_that_proposes_a_unit(parse, text, proposed):
    with pytest.raises(UsageError, match=f"'{text}' has no unit.*{proposed}"):
        parse(text)


@pytest.mark.parametrize("parse", [parse_milliseconds, parse_count, parse_bytes])
@pytest.mark.parametrize("text", ["", "ms", "-5ms", "0ms", "0", "nan", "infms", "5,5ms", "five", "5ms5", "0x5ms"])
def test_what_is_no_positive_number_is_a_usage_error(parse, text):
    with pytest.raises(UsageError, match="not a positive number with a unit"):
        parse(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_milliseconds, "5MB"), (parse_milliseconds, "5MS"), (parse_count, "5ms"), (parse_bytes, "5k")],
)
def test_an_unknown_unit_lists_the_known_ones(parse, text):
    with pytest.raises(UsageError, match=r"unknown unit.*Known units: "):
        parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.42 s"), (89.0, "89 s"), (754.0, "13 min"), (9000.0, "2.5 h"), (3e5, "3.5 days")]
)
def test_seconds_are_written_in_the_unit_that_suits(seconds, text):
    assert format_seconds(seconds) == text
