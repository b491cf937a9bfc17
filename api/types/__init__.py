"""The words everybody shares: objects, resources, errors, quantities, selectors. No I/O here, and no state.

An object of the API is a plain `dict` as JSON gives it (`Obj`). An object that came from a cache, a store or
a watch is read-only for everybody; whoever wants to change one changes a copy (`copy.deepcopy`, or build a
new dict).
"""

from typing import Any, TypeAlias

Obj: TypeAlias = dict[str, Any]

__all__ = ["Obj"]
