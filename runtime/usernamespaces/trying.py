"""Whether this kernel maps the ids of files in memory, where secrets and tokens lie: it is tried, since
distributions bring to older kernels what came with 6.3. Blocks briefly."""

from __future__ import annotations

import tempfile
from pathlib import Path

from podium.runtime import mounting
from podium.runtime.usernamespaces import making
from podium.runtime.usernamespaces.ranges import IdRange


def refusal(ids: IdRange) -> str:
    """Why the kernel does not do it, "" when it does."""
    folder = Path(tempfile.mkdtemp(prefix="mapped-"))
    try:
        mounting.mount("tmpfs", str(folder), "tmpfs")
        with making.namespace(ids) as users:
            mounting.show_mapped(str(folder), str(folder), users)
        mounting.unmount(folder)
    except OSError as error:
        return f"the kernel cannot map ids ({error})"
    finally:
        mounting.unmount(folder)
        folder.rmdir()
    return ""
