"""The node as the API server sees it: its Node object, its Lease.

`description` says what to write (pure), `pressure` looks at the machine, `registrar` writes.
"""
