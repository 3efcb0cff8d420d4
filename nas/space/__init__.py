"""WHAT can be built: architectures, their genes, their cost. Numpy only, never torch.

It imports leaves only. Begin with `architecture`, then `search_space` and `kinds`.
"""
