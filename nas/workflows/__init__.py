"""What the commands do, one module or folder each; the only room that sees all others.

It imports everything but `cli`. Begin with `requests`, then `search/command`.
"""
