"""HOW FAST networks run: latency tables, how they are measured, and how they are predicted.

It imports leaves, `space`, `nn` and `export`. Begin with `table.latency_table.LatencyTable`.
"""
