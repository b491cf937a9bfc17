"""Minutes of random kills under churn: who stirs (`churn`), who kills (`havoc`), and what must hold
afterwards (`invariants`)."""
