"""A machine that goes down lets its pods end first: the least important ones begin.

`plan` says who has how long (pure), `manager` does it, `logind` holds the machine back and tells when.
Source: docs, "Node Shutdowns"; KEP-2000, KEP-2712."""
