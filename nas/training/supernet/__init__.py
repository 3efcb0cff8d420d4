"""The training of a supernet: which subnets a step trains, towards what, and in which order.

It imports what `training` imports. Begin with `loop.train_step`, then `sampling`.
"""
