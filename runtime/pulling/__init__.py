"""Images for pods: whose credentials open which registry, who may use what is here already, and how many are
fetched at once.

`keyring` and `records` decide; `supply` does."""
