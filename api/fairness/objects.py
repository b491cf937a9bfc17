"""The priority levels and flow schemas of every cluster, as tables.

Source: Kubernetes documentation, "API Priority and Fairness", default objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from podium.api.auth.users import AUTHENTICATED, MASTERS, NODES, UNAUTHENTICATED
from podium.api.types import Obj

AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"
EXEMPT, CATCH_ALL = "exempt", "catch-all"
EVERYBODY = (f"group:{AUTHENTICATED}", f"group:{UNAUTHENTICATED}")
# As the objects list them, which is the other way round.
_EVERYBODY = EVERYBODY[::-1]
ACCOUNTS = "group:system:serviceaccounts"
KUBE_SYSTEM = "account:kube-system:*"
MANAGER, SCHEDULER = "user:system:kube-controller-manager", "user:system:kube-scheduler"


class Queuing(NamedTuple):
    queues: int
    hand_size: int
    length: int = 50


class Limited(NamedTuple):
    shares: int
    lendable: int
    queuing: Queuing | None


class Rule(NamedTuple):
    """`wide`: of what is in no namespace, too."""

    verbs: Sequence[str] = ("*",)
    groups: Sequence[str] = ("*",)
    resources: Sequence[str] = ("*",)
    wide: bool = True


class Schema(NamedTuple):
    level: str
    precedence: int
    distinguisher: str
    subjects: Sequence[str]
    rules: Sequence[Rule] = (Rule(),)
    paths: Sequence[str] = ("*",)


LEVELS: dict[str, Limited | None] = {
    EXEMPT: None,
    CATCH_ALL: Limited(5, 0, None),
    "system": Limited(30, 33, Queuing(64, 6)),
    "node-high": Limited(40, 25, Queuing(64, 6)),
    "leader-election": Limited(10, 0, Queuing(16, 4)),
    "workload-high": Limited(40, 50, Queuing(128, 6)),
    "workload-low": Limited(100, 90, Queuing(128, 6)),
    "global-default": Limited(20, 50, Queuing(128, 6)),
}
_LEASES = Rule(("get", "create", "update"), ("coordination.k8s.io",), ("leases",), wide=False)
_NODES = (
    Rule(groups=("",), resources=("nodes", "nodes/status")),
    Rule(groups=("coordination.k8s.io",), resources=("leases",), wide=False),
)
_BY_USER, _BY_NAMESPACE = "ByUser", "ByNamespace"
SCHEMAS: dict[str, Schema] = {
    EXEMPT: Schema(EXEMPT, 1, "", (f"group:{MASTERS}",)),
    CATCH_ALL: Schema(CATCH_ALL, 10_000, _BY_USER, _EVERYBODY),
    "system-nodes": Schema("system", 500, _BY_USER, (f"group:{NODES}",)),
    "system-node-high": Schema("node-high", 400, _BY_USER, (f"group:{NODES}",), _NODES, ()),
    "probes": Schema(EXEMPT, 2, "", _EVERYBODY, (), ("/healthz", "/readyz", "/livez")),
    "system-leader-election": Schema(
        "leader-election", 100, _BY_USER, (MANAGER, SCHEDULER, KUBE_SYSTEM), (_LEASES,), ()
    ),
    "kube-controller-manager": Schema("workload-high", 800, _BY_NAMESPACE, (MANAGER,)),
    "kube-scheduler": Schema("workload-high", 800, _BY_NAMESPACE, (SCHEDULER,)),
    "kube-system-service-accounts": Schema("workload-high", 900, _BY_NAMESPACE, (KUBE_SYSTEM,)),
    "service-accounts": Schema("workload-low", 9000, _BY_USER, (ACCOUNTS,)),
    "global-default": Schema("global-default", 9900, _BY_USER, _EVERYBODY),
}
# Those that nobody can do without: they are there again when somebody deletes or changes them.
MANDATORY = frozenset({EXEMPT, CATCH_ALL})


def priority_level(name: str) -> Obj:
    """PriorityLevelConfiguration."""
    limited = LEVELS[name]
    if limited is None:
        exempt = {"nominalConcurrencyShares": 0, "lendablePercent": 0}
        return _object(name, {"type": "Exempt", "exempt": exempt})
    response: Obj = {"type": "Reject"}
    if (queuing := limited.queuing) is not None:
        lengths = {
            "queues": queuing.queues,
            "handSize": queuing.hand_size,
            "queueLengthLimit": queuing.length,
        }
        response = {"type": "Queue", "queuing": lengths}
    spec = {
        "nominalConcurrencyShares": limited.shares,
        "lendablePercent": limited.lendable,
        "limitResponse": response,
    }
    return _object(name, {"type": "Limited", "limited": spec})


def flow_schema(name: str) -> Obj:
    """FlowSchema."""
    schema = SCHEMAS[name]
    rules: Obj = {"subjects": [_subject(text) for text in schema.subjects]}
    if schema.rules:
        rules["resourceRules"] = [_resource_rule(rule) for rule in schema.rules]
    if schema.paths:
        verbs = ["get"] if schema.paths != ("*",) else ["*"]
        rules["nonResourceRules"] = [{"verbs": verbs, "nonResourceURLs": list(schema.paths)}]
    spec: Obj = {
        "priorityLevelConfiguration": {"name": schema.level},
        "matchingPrecedence": schema.precedence,
        "rules": [rules],
    }
    if schema.distinguisher:
        spec["distinguisherMethod"] = {"type": schema.distinguisher}
    return _object(name, spec)


def _object(name: str, spec: Obj) -> Obj:
    return {"metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}}, "spec": spec}


def _subject(text: str) -> Obj:
    kind, _, name = text.partition(":")
    if kind == "account":
        namespace, _, name = name.partition(":")
        return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
    return {"kind": kind.capitalize(), kind: {"name": name}}


def _resource_rule(rule: Rule) -> Obj:
    made: Obj = {
        "verbs": list(rule.verbs),
        "apiGroups": list(rule.groups),
        "resources": list(rule.resources),
        "namespaces": ["*"],
    }
    return made | ({"clusterScope": True} if rule.wide else {})
