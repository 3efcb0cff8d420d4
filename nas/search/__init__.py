"""Which candidates to choose: objectives and constraints in, a front out. No torch, no hardware.

It may import the leaves and the values of `nas.space`. Begin with `problem`, then `loop`.

The package is callable, because the public name `nas.search` is both this package and the function `search` of
`nas.search.loop`: `nas.search(space, objectives=[...])` forwards to it.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class CallablePackage(types.ModuleType):
    """A package that is also the function `nas.search.loop.search`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Forward to `nas.search.loop.search`."""
        from nas.search.loop import search

        return search(*args, **kwargs)


sys.modules[__name__].__class__ = CallablePackage
