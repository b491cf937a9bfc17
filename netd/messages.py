"""pyroute2's rtnetlink messages, and nothing else of it.

Its package imports all that it has, an object store on SQLite among it: nine megabytes, of which a node would
use these four classes. So they are imported below a bare package, which goes as soon as they are there:
whoever imports pyroute2 itself gets the whole of it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

_ROOT = "pyroute2"

_bare = None
if _ROOT not in sys.modules:
    _found = find_spec(_ROOT)
    if _found is not None:
        _bare = sys.modules[_ROOT] = module_from_spec(_found)
try:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg
finally:
    if _bare is not None:
        del sys.modules[_ROOT]

__all__ = ["ifaddrmsg", "ifinfmsg", "ndmsg", "rtmsg"]
