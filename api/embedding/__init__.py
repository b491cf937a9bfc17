"""An API server inside another program: a test, a tool, a notebook. In memory, on a port of its own, with
certificates of its own, and gone without a trace when it is closed.

`EmbeddedServer` has a thread of its own and is for code that blocks; `AsyncEmbeddedServer` lives on the loop
that it is opened on. It is an API server and nothing else, like a cluster of which only the API runs: no
controller makes ServiceAccounts or pods, collects garbage or empties a namespace that is deleted. What shall
run beside the server is given as `tasks`."""

from podium.api.embedding.access import Access
from podium.api.embedding.options import Options, Task
from podium.api.embedding.serving import AsyncEmbeddedServer
from podium.api.embedding.thread import EmbeddedServer

__all__ = ["Access", "AsyncEmbeddedServer", "EmbeddedServer", "Options", "Task"]
