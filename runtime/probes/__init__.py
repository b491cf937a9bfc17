"""Probes of containers: commands, HTTP, TCP and gRPC requests, and when they mean what.

`checks` asks once, `tally` counts answers against thresholds (pure), `prober` runs one task per probe of a
running container.
"""
