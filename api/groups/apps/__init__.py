"""The group apps."""

from podium.api.groups.apps import daemonsets, deployments, replicasets, revisions, statefulsets
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.CONTROLLER_REVISIONS: revisions.ControllerRevisions,
    resources.DAEMON_SETS: daemonsets.DaemonSets,
    resources.DEPLOYMENTS: deployments.Deployments,
    resources.REPLICA_SETS: replicasets.ReplicaSets,
    resources.STATEFUL_SETS: statefulsets.StatefulSets,
}
