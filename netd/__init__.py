"""The pod network (pyroute2), the service proxy (nftables), cluster DNS."""
