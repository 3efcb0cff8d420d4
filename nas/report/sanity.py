"""What a search was worth, in words."""

from __future__ import annotations

from nas.report.content import Row


def quality_sentences(found: Row) -> list[str]:
    """Say how a search stands against plain ones, and what became of its evaluations; nothing of an old search."""
    if not found:
        return []
    shares = " and ".join(
        f"{found['hypervolume'] / volume:.3f} times that of {name} search"
        for name, volume in found["control"].items()
        if volume > 0
    )
    order = found["order_right"]
    parts = [
        f"{found['num_evaluations']} evaluations",
        *([f"{found['num_shared']} of them shared with another device"] if found["num_shared"] else []),
        f"{found['num_wasted']} dominated when they were made",
        *([f"order of a batch predicted rightly for {order:.0%} of pairs"] if order is not None else []),
        *([f"racing saved {found['saved_share']:.0%} of the images"] if found["saved_share"] else []),
    ]
    first = f"Hypervolume {shares} with as many evaluations (replayed on the predictor)" if shares else ""
    return [*([first] if first else []), "; ".join(parts)]
