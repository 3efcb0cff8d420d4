"""HOW a network leaves: files that need nothing of ours, and the check that they compute the same.

It imports leaves, `space` and `nn`. Begin with `onnx` and `formats`.
"""
