"""The core group."""

from podium.api.groups.core import (
    accounts,
    claims,
    components,
    config,
    endpoints,
    events,
    namespaces,
    nodes,
    pods,
    quotas,
    replication,
    services,
    volumes,
)
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.BINDINGS: components.Bindings,
    resources.COMPONENT_STATUSES: components.ComponentStatuses,
    resources.CONFIG_MAPS: config.ConfigMaps,
    resources.ENDPOINTS: endpoints.Endpoints,
    resources.EVENTS: events.Events,
    resources.EVENTS_V1: events.NewEvents,
    resources.LIMIT_RANGES: quotas.LimitRanges,
    resources.NAMESPACES: namespaces.Namespaces,
    resources.NODES: nodes.Nodes,
    resources.PERSISTENT_VOLUME_CLAIMS: claims.PersistentVolumeClaims,
    resources.PERSISTENT_VOLUMES: volumes.PersistentVolumes,
    resources.POD_TEMPLATES: pods.PodTemplates,
    resources.PODS: pods.Pods,
    resources.REPLICATION_CONTROLLERS: replication.ReplicationControllers,
    resources.RESOURCE_QUOTAS: quotas.ResourceQuotas,
    resources.SECRETS: config.Secrets,
    resources.SERVICE_ACCOUNTS: accounts.ServiceAccounts,
    resources.SERVICES: services.Services,
}
