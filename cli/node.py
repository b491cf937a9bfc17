"""`podium node`: the node daemon, on a machine that is part of a cluster or joins one."""

from __future__ import annotations

import argparse

from podium.cli.main import cluster_of
from podium.cli.service import configure_logging, raise_file_limit, share_arenas


def run(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    configure_logging(cluster.logging_format)
    raise_file_limit()
    share_arenas()
    if options.join:
        from podium.cli import join

        cluster = join.ensure(cluster, options)
    # Large, and of no use to a machine that may not join.
    import uvloop

    from podium.cli.nodedaemon import serve

    uvloop.run(serve(cluster, options.images_from))
    return 0
