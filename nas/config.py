"""Settings: frozen dataclasses filled from YAML and `--set key=value`, strictly checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from nas.errors import NasError, UsageError, did_you_mean

Settings = TypeVar("Settings")

TYPE_NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "mapping"}
AT_LEAST_ONE = ("epochs", "batch_size", "accumulate")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What `nas train-supernet` is asked, as a run's config.yaml keeps it; `settings` are those of the recipe."""

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
        if types[name] is float and isinstance(value, int) and not isinstance(value, bool):
            merged[name] = float(value)
        elif not isinstance(value, types[name]) or (isinstance(value, bool) and types[name] is not bool):
            raise NasError(f"setting '{name}' is {value!r}", f"It must be a {TYPE_NAMES[types[name]]}")
        check_range(name, merged[name])
    return kind(**merged)


def check_range(name: str, value: Any) -> None:
    """Refuse a number that is negative or not finite, and a count of nothing."""
    least = 1 if name in AT_LEAST_ONE else 0
    if isinstance(value, int | float) and not (math.isfinite(value) and value >= least):
        raise NasError(f"setting '{name}' is {value}", f"It must be a number from {least} up")


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Turn `["epochs=20", "learning_rate=1e-3"]` into values; the part after = is read as YAML."""
    import yaml

    found = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"'{text}' is not key=value", "Write for example --set epochs=20")
        try:
            # YAML 1.1 takes 2:4 for the sexagesimal number 124
            found[name.strip()] = value.strip() if ":" in value else number_or_text(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise UsageError(f"the value of '{text}' is not YAML", "Write for example --set epochs=20") from error
    return found


def number_or_text(value: Any) -> Any:
    """Read `1e-3`, which YAML takes for a text, as the number it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def read_config(path: Path) -> dict[str, Any]:
    """Read a run's config.yaml: the options of a command by their names."""
    import yaml

    if not path.is_file():
        raise NasError(f"no configuration file '{path}'", "A run keeps its own as RUN/config.yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise NasError(f"{path} is not YAML: {error}", "Mend the syntax") from error
    if not isinstance(data, dict):
        raise NasError(f"{path} must be a mapping of options", "Compare it with the config.yaml of a run")
    return data
