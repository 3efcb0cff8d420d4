"""Where search spaces and latency tables lie: those that come with the package, and the user's own beside them."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
USER_SPACES, USER_TABLES = Path("search_spaces"), Path("latency_tables")  # under the working folder


def shipped_folder(name: str) -> Path:
    """Return the folder of shipped files: inside an installed package, beside it in a clone."""
    installed = PACKAGE / "shipped_files" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def space_folders() -> tuple[Path, ...]:
    """Return the folders searched for spaces: `search_spaces/` here first, then the shipped one."""
    return USER_SPACES, shipped_folder("search_spaces")


def table_folders() -> tuple[Path, ...]:
    """Return the folders searched for latency tables: `latency_tables/` here first, then the shipped one."""
    folders = (user_tables(), shipped_folder("latency_tables"))
    return tuple(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def user_tables() -> Path:
    """Return the folder that new latency tables are written to: `latency_tables/` under the current directory."""
    return Path.cwd() / USER_TABLES
