"""The node daemon: pods on containerd over gRPC."""
