"""`nas train-supernet`, on one process or several.

Begin with `command.train_supernet`, then `epochs`.
"""
