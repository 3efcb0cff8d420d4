"""The folder of a run, kept for workers that do not see it: files of a training travel through Ray, not by paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.files import write_bytes
from nas.run.checkpoint import BEFORE, NEWEST, write_newest
from nas.run.run import LOG, WEIGHTS


class RunFolderActor:
    """An actor where the command was called, which reads and writes the folder of its run."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def files(self) -> dict[str, bytes]:
        """Read what a training goes on from, by the names of files."""
        return read_files(self.run, (LOG, WEIGHTS, NEWEST, BEFORE))

    def keep(self, written: Mapping[str, bytes]) -> None:
        """Write what a training has written; the state last, as what it holds is never done again."""
        for name in (LOG, WEIGHTS):
            if name in written:
                write_bytes(self.run / name, written[name])
        write_newest(self.run, written[NEWEST])


def read_written(folder: Path) -> dict[str, bytes]:
    """Read what a training has written, by the names of files: at first it is a state alone."""
    return read_files(folder, (LOG, WEIGHTS, NEWEST))


def read_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read those files of a folder that are there."""
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
