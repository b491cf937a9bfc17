"""The groups networking.k8s.io and discovery.k8s.io."""

from podium.api.groups.networking import addresses, ingresses, policies, slices
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.ENDPOINT_SLICES: slices.EndpointSlices,
    resources.INGRESS_CLASSES: ingresses.IngressClasses,
    resources.INGRESSES: ingresses.Ingresses,
    resources.IP_ADDRESSES: addresses.IPAddresses,
    resources.NETWORK_POLICIES: policies.NetworkPolicies,
    resources.SERVICE_CIDRS: addresses.ServiceCIDRs,
}
