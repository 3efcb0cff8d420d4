"""The whole command line: its commands in the order of the road, and how it ends."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from nas.cli.options import CheckFailed
from nas.cli.results import demo_command, export_command, report_command, show_command
from nas.cli.searching import profile_command, search_command
from nas.cli.training import audit_command, compare_command, finetune_command, train_supernet_command
from nas.errors import NasError, UsageError

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo_command,
    "train-supernet": train_supernet_command,
    "profile": profile_command,
    "search": search_command,
    "finetune": finetune_command,
    "compare": compare_command,
    "audit": audit_command,
    "export": export_command,
    "report": report_command,
    "show": show_command,
}
EXIT_USAGE, EXIT_USER, EXIT_CHECK, EXIT_INTERRUPTED = 2, 3, 4, 130
REFUSED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
RESUMABLE = ("train-supernet", "profile", "search")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    add_completion=True,
    help="Finds the best vision network for your device and your latency limit, and proves it.\n\n"
    "\b\nExamples:\n"
    "  nas demo\n"
    "  nas train-supernet --space scan-mix-tiny --data cluttered-digits\n"
    "  nas profile --device cpu\n"
    "  nas search --device cpu --max-latency 1ms\n"
    "  nas finetune --pick best\n"
    "  nas compare\n"
    "  nas report",
)
for name, command in COMMANDS.items():
    app.command(name)(command)


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from importlib.metadata import version as installed

        print(f"nas {installed('scan-nas')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def resume_command(argv: list[str]) -> str:
    """Write the command that continues an interrupted one, or begins it again where it cannot be continued.

    A demo begins again in a folder of its own: its `--run` holds a run by now.
    """
    if argv[:1] == ["demo"]:
        kept = [word for word, before in zip(argv, ["", *argv], strict=False) if "--run" not in (word, before)]
        return shlex.join(["nas", *(word for word in kept if not word.startswith("--run="))])
    words = [word for word in argv if word != "--resume"]
    return shlex.join(["nas", *words, *(["--resume"] if words and words[0] in RESUMABLE else [])])


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app(prog_name="nas")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except NasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER)
    except CheckFailed as error:
        print(f"check failed: {error}", file=sys.stderr)
        sys.exit(EXIT_CHECK)
    except OSError as error:
        if error.errno not in REFUSED_WRITES:
            raise
        print(
            f"error: cannot write{f' {error.filename}' if error.filename else ''}: {error.strerror}. "
            "Make room, or choose another folder; what was written before is whole",
            file=sys.stderr,
        )
        sys.exit(EXIT_USER)
    except SystemExit as stop:  # typer makes this of every end, of Ctrl-C too
        if stop.code == EXIT_INTERRUPTED:
            print(f"\ninterrupted; continue with: {resume_command(sys.argv[1:])}", file=sys.stderr)
        raise
