"""Where search spaces and latency tables lie: those that come with the package, and the user's own beside them."""

from __future__ import annotations

from pathlib import Path

SHIPPED_SPACES = Path(__file__).resolve().parent / "shipped_files" / "search_spaces"
SHIPPED_TABLES = Path(__file__).resolve().parent / "shipped_files" / "latency_tables"


def space_folders() -> tuple[Path, ...]:
    """Return the folders searched for spaces: `search_spaces/` under the current directory first, then the shipped."""
    return Path("search_spaces"), SHIPPED_SPACES


def table_folders() -> tuple[Path, ...]:
    """Return the folders searched for latency tables: the user's first, then the shipped one."""
    return tuple(folder.resolve() for folder in (user_tables(), SHIPPED_TABLES) if folder.is_dir())


def user_tables() -> Path:
    """Return the folder that new latency tables are written to: `latency_tables/` under the current directory."""
    return Path.cwd() / "latency_tables"
