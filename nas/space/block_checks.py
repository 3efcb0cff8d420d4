"""Refuses an architecture that no supernet could hold, and says which block of it is wrong."""

from __future__ import annotations

from nas.errors import NasError, did_you_mean
from nas.space.architecture import Architecture, Block, patch_size
from nas.space.kinds import KINDS, misfit


def check_blocks(architecture: Architecture) -> None:
    """Raise `NasError` for an architecture that no supernet could hold; it names the wrong kind or setting."""
    patch = patch_size(architecture.stem)
    if patch is not None and architecture.resolution % patch:
        raise NasError(
            f"the stem {architecture.stem} of this architecture does not divide {architecture.resolution} pixels",
            f"Choose a resolution that divides by {patch}",
        )
    for number, stage in enumerate(architecture.stages, 1):
        for block in stage.blocks:
            fault = wrong_block(block, stage.width)
            if fault is not None:
                problem, remedy = fault
                raise NasError(f"stage {number} of this architecture: {problem}", remedy)


def wrong_block(block: Block, width: int) -> tuple[str, str] | None:
    """Return what is wrong with a block and the remedy; None where it can be built."""
    if block.kind not in KINDS:
        return f"no kind of block '{block.kind}'", did_you_mean(block.kind, KINDS)
    settings, kind = dict(block.settings), KINDS[block.kind]
    missing = [name for name in kind.settings if name not in settings and name not in kind.active_when]
    if missing:
        return f"a {block.kind} block has no {missing[0]}", f"Its settings: {', '.join(kind.settings)}"
    for name, value in settings.items():
        if name not in kind.settings:
            return f"a {block.kind} block has no setting '{name}'", did_you_mean(name, kind.settings)
        fault = kind.settings[name](list(value) if isinstance(value, tuple) else value)
        if fault is not None:
            return f"{name} {value!r} of a {block.kind} block", f"It {fault}"
    if block.bits != "fp" and kind.integer_kernels is None:
        return f"a {block.kind} block has no integer form, so not {block.bits} bits", "Use fp"
    fault = misfit(block.kind, width, settings)
    return None if fault is None else (f"a {block.kind} block does not fit", fault)
