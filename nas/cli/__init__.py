"""The command line: parse, call one workflow, print, exit code. Nothing heavy is imported before a command runs."""

from __future__ import annotations

from nas.cli.application import COMMANDS, EXIT_CHECK, EXIT_USER, RESUMABLE, app, main, resume_command

__all__ = ["COMMANDS", "EXIT_CHECK", "EXIT_USER", "RESUMABLE", "app", "main", "resume_command"]
