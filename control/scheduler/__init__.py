"""The scheduler: which node each pod runs on.

It decides on its own compact picture of nodes and pods (`picture`, and `census` for who is where), kept
current by informer events, never by walking all objects. A decision goes through the stages of the
scheduling framework as plain functions: filter (`filters`, `claims`, `spreading`, `neighbours`), score
(`scores` and the latter two), reserve (in `scheduler`), permit, and bind (`binder`); `preempt` makes room
where there is none. All but `scheduler`, `observer`, `binder`, `evictor` and `notices` is pure. `queue` and
`hints` know when a pod is tried again; `profiles` and `config` what takes part; `simulate` answers "would
it fit?" for others.
"""

from podium.control.scheduler.config import ConfigError, read_config
from podium.control.scheduler.profiles import SchedulerConfig
from podium.control.scheduler.scheduler import Scheduler

__all__ = ["ConfigError", "Scheduler", "SchedulerConfig", "read_config"]
