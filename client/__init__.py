"""How everybody talks to the API server: requests, watches, informers, work queues. Knows `podium.api.types`
alone."""
