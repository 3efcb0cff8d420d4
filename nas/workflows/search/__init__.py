"""`nas search`, and what it is made of.

Begin with `command.search`.
"""
