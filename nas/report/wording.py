"""Numbers and commands as the report prints them: plain text, not escaped."""

from __future__ import annotations

import shlex

from nas.report.content import ReportData

ABSENT = "–"


def percent(fraction: float) -> str:
    """Return a fraction of [0, 1] as a percentage: `97.5 %`, with a no-break space."""
    return f"{100 * fraction:.1f}\u00a0%"


def percent_or_dash(value: float | None) -> str:
    """Return a percentage, or a dash where there is none."""
    return ABSENT if value is None else percent(value)


def points(difference: float) -> str:
    """Return a difference of two accuracies: `+1.2 points`."""
    value = round(100 * difference, 1)
    return "±0.0 points" if value == 0 else f"{value:+.1f} points".replace("-", "−")


def times(factor: float) -> str:
    """Return a ratio: two digits, or all there are before the point."""
    return f"{factor:.2g}×" if factor < 10 else f"{factor:,.0f}×"


def milliseconds(value: float | None) -> str:
    """Return milliseconds with three significant digits, or a dash."""
    if value is None:
        return ABSENT
    return f"{value:#.3g}".removesuffix(".") if value < 999.5 else f"{value:.0f}"


def latency_origin(data: ReportData) -> str:
    """Return where the latencies of the page come from, and what `predicted` means on it."""
    table = data.table
    if table is None:
        return "The latency table of this search is not known."
    scope = f"{table.device} ({table.backend} {table.dtype}, batch {table.batch})"
    if table.provenance == "predicted":
        return (
            f"All latencies are predicted for {scope} from its data sheet, right within a factor of "
            f"{table.interval_factor:.2f} in 90 % of cases; none was ever measured there."
        )
    blocks = "measured blocks"
    if table.provenance == "interpolated":
        blocks = f"blocks, {table.num_measured} of which are measured and the others interpolated,"
    date = (table.date or "")[:10]
    return f"Predicted latencies are sums of {blocks} on {scope}, {date}; measured ones are those of whole networks."


def search_command(data: ReportData) -> str:
    """Return the command that searches on this device under this limit."""
    limit = "" if data.max_latency_ms is None else f" --max-latency {data.max_latency_ms:g}ms"
    return f"nas search --device {shlex.quote(data.device)}{limit}"
