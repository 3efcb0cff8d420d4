"""Images, by name: data sets, their splits, and the readers behind them.

It imports leaves only. Begin with `datasets.load_dataset` and `splits.Dataset`.
"""
