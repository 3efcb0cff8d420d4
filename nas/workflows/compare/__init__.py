"""`nas compare`: hand-designed models beside the searched networks.

Begin with `command.compare`.
"""
