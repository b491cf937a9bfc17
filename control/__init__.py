"""The conductor: the scheduler and the controllers. Knows the API server only through `podium.client`."""
