"""CustomResourceDefinitions: the kinds that users add.

What a definition says becomes what the built-in kinds have too: a schema, a strategy, a `Kind`. The verbs,
the store and the documents take it from there. `registrar` keeps what is served up to date with the
definitions.
"""
