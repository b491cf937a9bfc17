"""PodDisruptionBudgets: how many pods may be disrupted at the moment."""
