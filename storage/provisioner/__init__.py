"""The built-in provisioner's part on a node: claims as images of file systems, each of its exact size.

A claim is a sparse file with a file system of its own, so that the size that was asked for is all there is,
and filling one claim does nothing to its neighbours."""
