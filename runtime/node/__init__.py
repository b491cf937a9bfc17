"""The node as the API server sees it: its Node object, its Lease.

`description` says what to write (pure), `reservations` how much of it is for pods (pure), `registrar` writes.
"""
