"""Messages of containerd and CRI: the .proto files hold only what is used, and are compiled at build time."""
