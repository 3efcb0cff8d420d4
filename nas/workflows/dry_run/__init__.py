"""`--dry-run`: what a command would do and how long it would take; nothing is written.

Begin with `plans`.
"""
