"""What the commands have in common: options, units, the voice, how a result is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.errors import UsageError

Run = Annotated[Path | None, typer.Option("--run", help="The run's folder; default: the newest under runs/.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Everything random follows from it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no talk.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue where an interrupted run stopped.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")]


class CheckFailed(Exception):
    """A check that the user asked for came out negative."""


def unit(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Turn a parser of a number with a unit into one for options: a usage error exits with 2."""

    def parsed(text: str) -> float:
        try:
            return parse(text)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from error

    return parsed


def talk_of(quiet: bool) -> Any:
    """Make the voice that talks on stderr."""
    from nas.progress import Talk

    return Talk(quiet)


def give(result: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    """Print a command's result: JSON, or its last lines for a person."""
    if as_json:
        print(json.dumps(result))
    else:
        print("\n".join(lines))
