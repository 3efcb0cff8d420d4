"""What the commands have in common: options, units, the voice, how a result is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.errors import UsageError
from nas.files import JsonObject
from nas.units import format_seconds

Run = Annotated[Path | None, typer.Option("--run", help="The run's folder; default: the newest under runs/.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Everything random follows from it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no talk.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue where an interrupted run stopped.")]
Track = Annotated[str | None, typer.Option("--track", help="Show it in tensorboard, mlflow or wandb as well.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, how large and how long; then stop.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")]
PASTED = ("architecture", "definition")  # what a person copies as a whole


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


def console_of(quiet: bool) -> Any:
    """Make the voice that talks on stderr."""
    from nas.progress import Console

    return Console(quiet)


def give(result: JsonObject, as_json: bool, lines: list[str]) -> None:
    """Print a command's result: JSON, or its last lines for a person."""
    if as_json:
        print(json.dumps(result, default=str))
    else:
        print("\n".join(lines))


def give_plan(plan: Callable[[Any, Any], JsonObject], request: Any, as_json: bool, quiet: bool) -> None:
    """Print what a command would do with its request, and how long it would take."""
    console = console_of(quiet)
    console.say("rehearsing; nothing is written")
    facts = plan(request, console)
    seconds = facts.get("estimated_seconds")
    ends = [] if seconds is None else [f"estimated time: {format_seconds(seconds)} on this machine as busy as it is"]
    shown = {name: value for name, value in facts.items() if name != "estimated_seconds"}
    give({"dry_run": facts}, as_json, [*described(shown), *ends, "nothing was done: --dry-run"])


def described(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Write facts for a person: a line each, parts below their names; what can be pasted elsewhere stays JSON."""
    for name, value in facts.items():
        if isinstance(value, Mapping) and value and name not in PASTED:
            yield f"{indent}{name}"
            yield from described(value, f"{indent}  ")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value) and len(", ".join(value)) > 100:
            yield f"{indent}{name}"
            yield from (f"{indent}  {item}" for item in value)
        else:
            yield f"{indent}{name}: {in_words(value)}"


def in_words(value: Any) -> str:
    """Write one fact: numbers with four digits, lists with commas, structures as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping | list):
        return json.dumps(value, default=str) if value else "none"
    if value is None or isinstance(value, bool):
        return "none" if value is None else "yes" if value else "no"
    return str(value)
