"""The volume manager: every volume type, mounted and unmounted for the node daemon."""
