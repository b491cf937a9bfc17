"""SPDY/3.1, as far as Kubernetes clients speak it: several two-way streams over one connection.

kubectl before 1.30 execs and attaches over it, and every kubectl forwards ports over it, inside a WebSocket
since 1.31. Like the library on the other side, this side keeps no flow-control windows: when a stream is
not read, the connection is not read."""
