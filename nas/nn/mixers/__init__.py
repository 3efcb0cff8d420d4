"""Token mixers: the gated frame, and the cores that scan, pool or attend inside it.

It imports what `nn` imports. Begin with `gated`.
"""
