"""Images without a registry: a handful of Debian packages, downloaded with apt and put together as OCI
archives.

Only the standard library of the system's Python is used, because this runs before anything is installed.
The same packages make the same bytes: entries are sorted, times and owners fixed, layers uncompressed."""
