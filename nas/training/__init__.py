"""What moves weights: the training of one network, and the parts that all trainings share.

It imports leaves, `space`, `data`, `nn` and `supernet`. Begin with `network.train_model`.
"""
