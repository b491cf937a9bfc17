"""Cluster DNS: what the API knows under its names, everything else from the resolvers upstream.

`wire` is the format, `zone` knows the names (pure), `forward` asks upstream, `server` listens, `daemon` puts
them together."""
