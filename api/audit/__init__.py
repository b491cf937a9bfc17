"""Who did what, when: a line per request and stage, as a policy asks for it.

Source: API reference, audit.k8s.io/v1; Kubernetes documentation, "Auditing"."""

from podium.api.audit.audit import Audit, Record

__all__ = ["Audit", "Record"]
