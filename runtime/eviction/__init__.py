"""Keeps the node from running dry: sees what memory, disk and process ids are left, says so in the Node's
conditions, frees what nobody needs, and ends pods when that does not do.

`thresholds` says when, `watch` what follows from what was seen, `ranking` who goes first and why: pure.
`signals` looks, `manager` does.

Source: "Node-pressure Eviction".
"""
