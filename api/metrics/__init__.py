"""The server's numbers under the names that dashboards for Kubernetes look for.

Counting is a few dictionary lookups per request and happens here; Prometheus' own library writes the text,
and is imported when somebody asks for it first.

Source: Kubernetes Metrics Reference, v1.36."""

from podium.api.metrics.exposition import MEDIA_TYPE, Collect, Family, expose
from podium.api.metrics.requests import Metrics
from podium.api.metrics.server import of_server

__all__ = ["MEDIA_TYPE", "Collect", "Family", "Metrics", "expose", "of_server"]
