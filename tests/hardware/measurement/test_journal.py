from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.hardware.measurement.journal import Journal
from nas.hardware.measurement.protocol import Visit

SETTINGS = {"backend": "onnxruntime", "space_hash": "ab", "resolutions": (24, 32)}
VISITS = [Visit(name, round_, (0.1, 0.2), 0.3) for round_ in range(2) for name in ("a", "über|in=3")]


def keep(path: Path, resume: bool, visits: list[Visit], settings: dict = SETTINGS) -> list[Visit]:
    """Open the journal, append, and give what it held before."""
    with Journal.open(path, settings, resume) as journal:
        before = list(journal.visits)
        for visit in visits:
            journal.append(visit)
    return before


def test_what_was_appended_is_there_after_resuming(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    assert keep(path, True, VISITS[:2]) == []
    assert keep(path, True, VISITS[2:]) == VISITS[:2]
    with Journal.open(path, SETTINGS, True) as journal:
        assert journal.visits == VISITS
        assert journal.done == {(visit.round, visit.name) for visit in VISITS}


def test_starting_anew_forgets_what_was_there(tmp_path: Path) -> None:
    keep(tmp_path / "a", False, VISITS)
    keep(tmp_path / "a", False, VISITS[:1])
    assert keep(tmp_path / "a", True, []) == VISITS[:1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(share=st.floats(0, 1))
def test_a_kill_at_any_byte_loses_one_visit_at_most(share: float, tmp_path: Path) -> None:
    path = tmp_path / "a"
    keep(path, False, VISITS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    lines = path.read_bytes().count(b"\n")
    before = keep(path, True, VISITS[max(0, lines - 1) :])
    assert before == VISITS[: max(0, lines - 1)]
    assert path.read_bytes() == whole


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    keep(tmp_path / "a", False, VISITS)
    with pytest.raises(NasError, match="space_hash"):
        keep(tmp_path / "a", True, [], SETTINGS | {"space_hash": "cd"})
    assert keep(tmp_path / "a", True, []) == VISITS  # and nothing was lost


def test_every_visit_is_on_disk_as_soon_as_it_is_made(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a", SETTINGS, False) as journal:
        journal.append(VISITS[0])
        assert (tmp_path / "a").read_text().count("\n") == 2
        journal.remove()
        assert not (tmp_path / "a").exists()
