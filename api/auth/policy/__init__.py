"""The roles and bindings that every cluster has from the start, as tables."""

from podium.api.auth.policy.defaults import NODE_RULES, Default, defaults

__all__ = ["NODE_RULES", "Default", "defaults"]
