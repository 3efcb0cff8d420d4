from pathlib import Path

import pytest
import torch

from nas.errors import NasError
from nas.nn.tensor_file import save_tensors
from nas.progress import Console
from nas.run.checkpoint import BEFORE, NEWEST, read_checkpoint, write_checkpoint

STATES = [{"step": torch.tensor(step), "weight": torch.full((2, 3), float(step))} for step in range(3)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for state in STATES:
        write_checkpoint(tmp_path, state)
    return tmp_path


def equal(one: dict[str, torch.Tensor] | None, other: dict[str, torch.Tensor]) -> bool:
    return one is not None and one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_newest_state_is_read_and_two_are_kept(run: Path) -> None:
    assert equal(read_checkpoint(run, Console()), STATES[2])
    assert {path.name for path in run.iterdir()} == {NEWEST, BEFORE}


def test_nothing_is_read_where_nothing_was_written(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path, Console()) is None


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 16
    path.write_bytes(data)


def replace_by_unchecked(path: Path) -> None:
    path.write_bytes(save_tensors(STATES[2]))


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, replace_by_unchecked, Path.unlink])
def test_a_damaged_newest_state_falls_back_to_the_one_before(run: Path, damage, capsys) -> None:
    damage(run / NEWEST)
    assert equal(read_checkpoint(run, Console()), STATES[1])
    if damage is not Path.unlink:
        assert "trying the state before it" in capsys.readouterr().err


def test_two_damaged_states_are_an_error(run: Path) -> None:
    cut_short(run / NEWEST)
    flip_a_bit(run / BEFORE)
    with pytest.raises(NasError, match=r"no sound training state.*--run NEW"):
        read_checkpoint(run, Console(quiet=True))
