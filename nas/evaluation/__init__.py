"""HOW GOOD networks are: accuracies, rankings, and one trained network beside another.

It imports leaves, `space`, `data`, `nn`, `supernet` and `training`. Begin with `accuracy`.
"""
