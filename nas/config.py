"""Settings: frozen dataclasses filled from YAML and `--set key=value`, strictly checked."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from nas.errors import NasError, UsageError, did_you_mean

Settings = TypeVar("Settings")

TYPE_NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "mapping"}
LARGEST = 2**53  # the whole numbers up to here are floats too
AT_LEAST_ONE = ("epochs", "batch_size", "accumulate")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """The options of `nas train-supernet`, as a run's config.yaml keeps them; `settings` belong to the recipe."""

    space: str
    data: str
    seed: int = 0
    settings: dict = dataclasses.field(default_factory=dict)


def make_settings(kind: type[Settings], values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """Fill the dataclass `kind` from `values`, then from overrides like `epochs=20`.

    `NasError` names an unknown key with the close match, or a value of the wrong type or out of range.
    """
    merged = {**values, **parse_overrides(overrides)}
    types = get_type_hints(kind)
    for name, value in merged.items():
        if name not in types:
            raise NasError(f"no setting '{name}'", did_you_mean(name, types))
        fitting = (int, float) if types[name] is float else types[name]
        if not isinstance(value, fitting) or (isinstance(value, bool) and types[name] is not bool):
            raise NasError(f"setting '{name}' is {shortened(value)}", f"It must be a {TYPE_NAMES[types[name]]}")
        check_range(name, value)
        merged[name] = float(value) if types[name] is float else value
    needed = [field.name for field in dataclasses.fields(kind) if lacks_default(field)]  # type: ignore[arg-type]
    if missing := [name for name in needed if name not in merged]:
        raise NasError(f"the setting '{missing[0]}' is missing", f"Needed: {', '.join(needed)}")
    return kind(**merged)


def lacks_default(field: dataclasses.Field[Any]) -> bool:
    """Whether a field must be given."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def check_range(name: str, value: Any) -> None:
    """Raise `NasError` for a number that is negative, infinite or NaN, and for a count of zero."""
    least = 1 if name in AT_LEAST_ONE else 0
    if isinstance(value, int | float) and not least <= value <= LARGEST:
        raise NasError(f"setting '{name}' is {shortened(value)}", f"It must be a number from {least} up")


def shortened(value: Any) -> str:
    """Return a value as text for an error message, not longer than a line."""
    return reprlib.repr(value)


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Turn `["epochs=20", "learning_rate=1e-3"]` into values; the part after = is read as YAML."""
    from nas.yaml_reader import read_plain

    values: dict[str, Any] = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"'{text}' is not key=value", "Write for example --set epochs=20")
        try:
            # YAML 1.1 takes 2:4 for the sexagesimal number 124
            plain = value.strip() if ":" in value else number_or_text(read_plain(value, f"the value of '{text}'"))
        except NasError as error:
            raise UsageError(error.message, "Write for example --set epochs=20") from error
        values[name.strip()] = plain
    return values


def number_or_text(value: Any) -> Any:
    """Return a text such as `1e-3`, which YAML does not take for a number, as a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def read_config(path: Path) -> dict[str, Any]:
    """Read a run's config.yaml: the options of a command by their names."""
    from nas.yaml_reader import read_plain, text_of

    if not path.is_file():
        raise NasError(f"no configuration file '{path}'", "A run keeps its own as RUN/config.yaml")
    data = read_plain(text_of(path), str(path))
    if not isinstance(data, dict):
        raise NasError(f"{path} must be a mapping of options", "Compare it with the config.yaml of a run")
    return data
