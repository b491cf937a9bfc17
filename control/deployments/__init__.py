"""Deployments: a new ReplicaSet for every new template, grown while the old ones shrink, within the limits
asked for."""
