"""Search algorithms: each proposes genomes by `ask` and learns by `tell`.

It imports what `search` imports. Begin with `random_search`, the shortest one.
"""
