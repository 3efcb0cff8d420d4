"""Progress on stderr: a bar on a terminal, a plain line from time to time elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 15.0
LEAST_SECONDS_TO_REPORT = 2.0  # a shorter task prints no line
Advance = Callable[[int, str], None]  # (steps done so far, a note)


class Console:
    """Prints to stderr what a command is doing. Data never passes through here."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Advance]:
        """Show the progress of a task of `total` steps; call the yielded function with (done, note)."""
        if self.quiet:
            yield lambda done, note: None
        elif sys.stderr.isatty():
            with self._bar(name, total) as advance:
                yield advance
        else:
            with self._lines(name, total) as advance:
                yield advance

    @contextmanager
    def _bar(self, name: str, total: int) -> Iterator[Advance]:
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Terminal(stderr=True)) as progress:
            task = progress.add_task(name, total=total, note="")

            def advance(done: int, note: str) -> None:
                progress.update(task, completed=done, note=note) if note else progress.update(task, completed=done)

            yield advance

    @contextmanager
    def _lines(self, name: str, total: int) -> Iterator[Advance]:
        start = last = time.monotonic()
        latest = ""

        def advance(done: int, note: str) -> None:
            nonlocal last, latest
            latest = note or latest
            now = time.monotonic()
            if now - last >= SECONDS_BETWEEN_LINES:
                last = now
                left = (now - start) / max(done, 1) * (total - done)
                self.say(f"{name}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left  {latest}")

        yield advance
        if time.monotonic() - start >= LEAST_SECONDS_TO_REPORT:
            self.say(f"{name}: done in {time.monotonic() - start:.0f} s  {latest}")
