"""Errors that a user can fix: what happened and why, then the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_CHARACTERS = 2000  # of a message: it may quote a damaged file


class NasError(Exception):
    """Something the user can fix. `message` is what happened and why, `hint` is the remedy."""

    def __init__(self, message: str, hint: str = "") -> None:
        message = message if len(message) <= MOST_CHARACTERS else f"{message[:MOST_CHARACTERS]} ..."
        super().__init__(message)
        self.message = message
        self.hint = hint[:MOST_CHARACTERS]

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class UsageError(NasError):
    """The command line itself is wrong; the command exits with 2 instead of 3."""


def did_you_mean(name: str, known: Iterable[str], label: str = "Known") -> str:
    """Return the known name that is close to `name`, then the list of known names under `label`.

    >>> did_you_mean("a10", ["a100", "h200"])
    "Did you mean 'a100'? Known: a100, h200"
    """
    names = sorted(str(item) for item in known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    start = f"Did you mean '{close[0]}'? " if close else ""
    return f"{start}{label}: {', '.join(names) or 'none'}"
