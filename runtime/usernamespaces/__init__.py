"""Pods with users of their own (`hostUsers: false`): which ids of the machine they are, the namespaces that
map them, and whether this machine can do that.

Source: KEP-127.
"""
