"""The store: a contract (`base`), and the append-only log in memory (`memory`) and on SQLite (`sqlite`)."""
