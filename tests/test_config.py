from dataclasses import dataclass

import pytest

from nas.config import TrainingOptions, make_settings, parse_overrides, read_config
from nas.errors import NasError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    epochs: int = 10
    learning_rate: float = 1e-3
    name: str = "adamw"
    averaged: bool = True


def test_overrides_win_over_values_and_values_over_defaults():
    assert make_settings(Example, {}) == Example()
    assert make_settings(Example, {"epochs": 5, "name": "sgd"}, ["epochs=7"]) == Example(epochs=7, name="sgd")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("2E2", 200.0), ("0.5", 0.5), ("3", 3.0), ("1.5e+1", 15.0)]
)
def test_a_float_may_be_written_in_every_way(text, value):
    found = make_settings(Example, {}, [f"learning_rate={text}"]).learning_rate
    assert found == value
    assert type(found) is float


@pytest.mark.parametrize(
    ("override", "kind"),
    [
        ("epochs=2.5", "whole number"),
        ("epochs=many", "whole number"),
        ("epochs=true", "whole number"),
        ("epochs=", "whole number"),
        ("learning_rate=fast", "number"),
        ("learning_rate=false", "number"),
        ("learning_rate=[1]", "number"),
        ("name=3", "text"),
        ("averaged=1", "true or false"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(override, kind):
    with pytest.raises(NasError, match=f"setting '{override.split('=')[0]}' is .*It must be a {kind}"):
        make_settings(Example, {}, [override])


@pytest.mark.parametrize(
    "override", ["epochs=0", "epochs=-1", "learning_rate=-0.1", "learning_rate=nan", "learning_rate=.inf"]
)
def test_a_value_out_of_range_is_refused(override):
    with pytest.raises(NasError, match="It must be a number from"):
        make_settings(Example, {}, [override])


def test_a_rate_may_be_zero():
    assert make_settings(Example, {}, ["learning_rate=0"]).learning_rate == 0.0


def test_an_unknown_setting_names_the_close_match():
    with pytest.raises(NasError, match=r"no setting 'epoch'.*Did you mean 'epochs'"):
        make_settings(Example, {}, ["epoch=3"])
    with pytest.raises(NasError, match="Did you mean 'learning_rate'"):
        make_settings(Example, {"learningrate": 1.0})


def test_the_last_of_two_overrides_counts_and_the_value_may_hold_an_equals_sign():
    assert parse_overrides(["a=1", "a=2", " b = x=y"]) == {"a": 2, "b": "x=y"}


@pytest.mark.parametrize("text", ["epochs", "=3", "", "epochs=[1", "epochs={"])
def test_what_is_not_key_equals_value_is_a_usage_error(text):
    with pytest.raises(UsageError, match="--set epochs=20"):
        parse_overrides([text])


def test_a_configuration_file_is_read_as_plain_data(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("space: toy\ndata: digits\nsettings: {epochs: 3}\n")
    assert make_settings(TrainingOptions, read_config(path)) == TrainingOptions(
        space="toy", data="digits", settings={"epochs": 3}
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("space: [toy\n", "is not YAML"),
        ("!!python/object/apply:os.getcwd []\n", "not a plain value"),
    ],
)
def test_a_broken_configuration_file_is_refused(tmp_path, text, reason):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(NasError, match=reason):
        read_config(path)


def test_a_missing_configuration_file_is_named(tmp_path):
    with pytest.raises(NasError, match="no configuration file"):
        read_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"spce": "toy"}, "Did you mean 'space'"),
        ({"seed": "x"}, "It must be a whole number"),
        ({"settings": None}, "It must be a mapping"),
    ],
)
def test_the_options_of_a_training_are_checked(options, reason):
    with pytest.raises(NasError, match=reason):
        make_settings(TrainingOptions, {"space": "toy", "data": "digits", **options})


def test_a_value_with_a_colon_is_the_text_that_it_looks_like():
    assert parse_overrides(["sparsity=2:4"]) == {"sparsity": "2:4"}
