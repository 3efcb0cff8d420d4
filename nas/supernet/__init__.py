"""ONE set of weights for a whole space, and how subnets are cut out of it.

It imports leaves, `space` and `nn`. Begin with `supernet.Supernet`, then `slicing`.
"""
