"""Priority and fairness: which requests are served next when there are more than can be.

Every request that ends is of a flow, which a FlowSchema puts it into, and every flow of a priority level. A
level has seats, which its requests hold while they are served; and of each turn of the event loop, the one
thing that all of them need, waiting flows get the same share, whatever the number of their connections.

Source: Kubernetes documentation, "API Priority and Fairness"; KEP-1040."""

from podium.api.fairness.fairness import Fairness, Seat
from podium.api.fairness.keeping import Keeping

__all__ = ["Fairness", "Keeping", "Seat"]
