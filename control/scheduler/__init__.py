"""The scheduler: which node each pod runs on.

It decides on its own compact picture of nodes and pods (`picture`), kept current by informer events, never by
walking all objects. `needs`, `filters`, `scores` and `decide` are pure; `queue` knows when a pod is tried
again; `scheduler` is the edge that reads events and writes bindings.
"""

from podium.control.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
