"""APIs that other servers answer: which there are (APIService objects), whether they are there, and their
requests, discovery and schemas passed through.

Source: kubernetes.io, "Kubernetes API Aggregation Layer", "Configure the Aggregation Layer"; API reference,
apiregistration/v1 APIService.
"""

from podium.api.aggregation.aggregator import Aggregator

__all__ = ["Aggregator"]
