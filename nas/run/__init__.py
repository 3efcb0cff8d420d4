"""A run's folder: the only place that knows its file names, and the values read from it.

It imports leaves, `space`, `data`, `nn`, `supernet`, `hardware.table` and values of `search`. Begin with `run.Run`.
"""
