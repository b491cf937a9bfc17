"""NodeRestriction: what a node writes is its own.

Source: docs, "Admission Control", NodeRestriction; KEP-279. Beyond that a node makes the volumes of its own
disk and notes in their claims how far it has come."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

from cryptography import x509

from podium.api.admission import audiences
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.nodes import LEASES, PREFIX, node_of
from podium.api.auth.references import references, volume_secrets
from podium.api.auth.users import NODES, User
from podium.api.types import Obj
from podium.api.types.errors import not_found
from podium.api.types.resources import NODES as NODE_OBJECTS
from podium.api.types.resources import PODS, SERVICE_ACCOUNTS

ASK_AUDIENCE = "request-serviceaccounts-token-audience"
HOSTNAME = "kubernetes.io/hostname"
MIRROR = "kubernetes.io/config.mirror"
CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")
_LABELS = frozenset({
    HOSTNAME, "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type", "kubernetes.io/os",
    "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
})  # fmt: skip
_OWN_SPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESTRICTED = "node-restriction.kubernetes.io"
_SIGNERS = frozenset({"kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"})

Check = Callable[[str, AdmissionRequest, Cluster], str]


class NodeRestriction:
    name = "NodeRestriction"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        user = request.user
        if not isinstance(user, User) or NODES not in user.groups or not user.name.startswith(PREFIX):
            return
        check = _CHECKS.get((request.resource.group, request.resource.plural))
        if check is not None and (why := check(node_of(user), request, cluster)):
            raise request.refuse(why)
        if request.resource is SERVICE_ACCOUNTS and request.subresource == "token":
            await self._audience(user, request, cluster)

    async def _audience(self, user: User, request: AdmissionRequest, cluster: Cluster) -> None:
        """A token is for whom the pod names it for, or for whom the node may ask for tokens. Raises 403."""
        spec = (request.obj or {}).get("spec") or {}
        wanted = spec.get("audiences") or [""]
        if len(wanted) > 1:
            raise request.refuse("node may only request 0 or 1 audiences")
        pod = cluster.lookup(PODS, request.namespace, spec["boundObjectRef"]["name"])
        if pod is not None and wanted[0] in audiences.named_by(pod, cluster):
            return
        ask = Action(ASK_AUDIENCE, "", wanted[0], "", request.namespace, request.name)
        if not wanted[0] or not await self._authorizer.allowed(user, ask):
            who = f"{user.name} is not authorized to request tokens for this audience"
            raise request.refuse(f'audience "{wanted[0]}" not found in pod spec volume, {who}')

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What the other plugins make of it is theirs."""


def _pod(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    if request.subresource == "status":
        return _pod_status(node, request)
    if request.subresource == "eviction":
        return _eviction(node, request, cluster)
    if request.subresource:
        allowed = "only 'status' and 'eviction' are allowed"
        return f'unexpected pod subresource "{request.subresource}", {allowed}'
    if request.operation == "DELETE":
        own = _bound_to(request.old, node)
        return "" if own else f'node "{node}" can only delete pods with spec.nodeName set to itself'
    if request.operation == "CREATE":
        return _mirror(node, request.obj or {}, cluster)
    return f'unexpected operation "{request.operation}", node "{node}" can only create and delete mirror pods'


def _eviction(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    if request.operation != "CREATE":
        return f"unexpected operation {request.operation}"
    own = _bound_to(cluster.lookup(PODS, request.namespace, request.name), node)
    return "" if own else f"node {node} can only evict pods with spec.nodeName set to itself"


def _pod_status(node: str, request: AdmissionRequest) -> str:
    old, new = request.old or {}, request.obj or {}
    if not _bound_to(old, node):
        return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
    if (old["metadata"].get("labels") or {}) != (new["metadata"].get("labels") or {}):
        return f'node "{node}" cannot update labels through pod status'
    before, after = old.get("status") or {}, new.get("status") or {}
    if (before.get("resourceClaimStatuses") or []) != (after.get("resourceClaimStatuses") or []):
        return f'node "{node}" cannot update resource claim statues'
    if before.get("extendedResourceClaimStatus") != after.get("extendedResourceClaimStatus"):
        return f'node "{node}" cannot update extended resource claim status'
    return ""


def _bound_to(pod: Obj | None, node: str) -> bool:
    return bool(pod) and (pod or {})["spec"].get("nodeName") == node


def _mirror(node: str, pod: Obj, cluster: Cluster) -> str:
    meta = pod["metadata"]
    if MIRROR not in (meta.get("annotations") or {}):
        return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
    if not _bound_to(pod, node):
        return f'node "{node}" can only create pods with spec.nodeName set to itself'
    owners = meta.get("ownerReferences") or []
    if len(owners) > 1:
        return f'node "{node}" can only create pods with a single owner reference set to itself'
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return f'node "{node}" can only create pods with an owner reference set to itself'
    if not owner.get("controller"):
        return f'node "{node}" can only create pods with a controller owner reference set to itself'
    if owner.get("blockOwnerDeletion"):
        return f'node "{node}" must not set blockOwnerDeletion on an owner reference'
    found = cluster.lookup(NODE_OBJECTS, "", node)
    if found is None:
        raise not_found(NODE_OBJECTS.plural, node)
    uid = found["metadata"]["uid"]
    if owner.get("uid") != uid:
        return f"node {node} UID mismatch: expected {owner.get('uid', '')} got {uid}"
    named = sorted(
        reference.plural for reference in references({**pod, "metadata": {"namespace": "", **meta}})
    )
    return f'node "{node}" can not create pods that reference {named[0]}' if named else ""


def _node(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    if request.name != node:
        return f'node "{node}" is not allowed to modify node "{request.name}"'
    new, old = request.obj, request.old
    if new is None:
        return ""
    labels = new["metadata"].get("labels") or {}
    if old is None:
        bad = _forbidden_labels(labels, {})
        return f'node "{node}" is not allowed to set the following labels: {bad}' if bad else ""
    if (new["spec"].get("taints") or []) != (old["spec"].get("taints") or []):
        return f'node "{node}" is not allowed to modify taints'
    if (new["metadata"].get("ownerReferences") or []) != (old["metadata"].get("ownerReferences") or []):
        return f'node "{node}" is not allowed to modify ownerReferences'
    bad = _forbidden_labels(labels, old["metadata"].get("labels") or {})
    return f"is not allowed to modify labels: {bad}" if bad else ""


def _forbidden_labels(new: Obj, old: Obj) -> str:
    changed = {key for key in {*new, *old} if new.get(key) != old.get(key)}
    return ", ".join(sorted(filter(_is_others_label, changed)))


def _is_others_label(key: str) -> bool:
    space = key.partition("/")[0] if "/" in key else ""
    if _within(space, (_RESTRICTED,)):
        return True
    return _within(space, ("kubernetes.io", "k8s.io")) and not (key in _LABELS or _within(space, _OWN_SPACES))


def _within(space: str, domains: Iterable[str]) -> bool:
    return any(space == domain or space.endswith(f".{domain}") for domain in domains)


def _lease(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    if request.namespace != LEASES:
        return f'can only access leases in the "{LEASES}" system namespace'
    return _same_name(node, request, "node lease")


def _csi_node(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    return _same_name(node, request, "CSINode")


def _same_name(node: str, request: AdmissionRequest, what: str) -> str:
    return "" if request.name == node else f"can only access {what} with the same name as the requesting node"


def _account(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    """A token is for a pod that is here, and for whom the pod names."""
    if (request.operation, request.subresource) != ("CREATE", "token"):
        return ""
    spec = (request.obj or {}).get("spec") or {}
    reference = spec.get("boundObjectRef") or {}
    name, uid = reference.get("name") or "", reference.get("uid") or ""
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod") or not name:
        return "node requested token not bound to a pod"
    if not uid:
        return "node requested token with a pod binding without a uid"
    pod = cluster.lookup(PODS, request.namespace, name)
    if pod is None:
        raise not_found(PODS.plural, name)
    if pod["metadata"]["uid"] != uid:
        return (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. The object "
            "might have been deleted and then recreated"
        )
    if not _bound_to(pod, node):
        return "node requested token bound to a pod scheduled on a different node"
    return ""


def _slice(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    """Which it may change the authorizer says, which does not see what is made."""
    obj = {"CREATE": request.obj, "DELETE": request.old}.get(request.operation)
    if obj is None or obj["spec"].get("nodeName") == node:
        return ""
    verb = request.operation.lower()
    return f"can only {verb} ResourceSlice with the same NodeName as the requesting node"


def _claim(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    new, old = request.obj, request.old
    if new is None or old is None:
        return "may only update PVC status"
    if request.subresource == "status":
        if _without(new, "status", CLAIM_STATUS) == _without(old, "status", CLAIM_STATUS):
            return ""
        return (
            f'node "{node}" is not allowed to update fields other than status.quantity and status.conditions'
        )
    # It gives a claim back to the scheduler by an annotation.
    noted = _without(new, "metadata", ("annotations",)) == _without(old, "metadata", ("annotations",))
    return "" if noted else "may only update PVC status"


def _without(obj: Obj, part: str, keys: Iterable[str]) -> Obj:
    meta = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in ("resourceVersion", "managedFields", "generation")
    }
    bare = {**obj, "metadata": meta}
    rest = {key: value for key, value in (bare.get(part) or {}).items() if key not in keys}
    return {**bare, part: rest}


def _volume(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    for obj in (request.obj, request.old):
        if obj is not None and _only_node(obj) != node:
            return f'node "{node}" can only write volumes that are on it'
        if obj is not None and volume_secrets(obj):
            # It reads the Secrets of the volumes that its pods use: it must not choose them.
            return f'node "{node}" can only write volumes that refer to no secret'
    return ""


def _only_node(volume: Obj) -> str:
    """The host that a volume can be reached from; "" when that is not just one."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    values = [
        tuple(wanted.get("values") or ())
        for term in required.get("nodeSelectorTerms") or ()
        for wanted in term.get("matchExpressions") or ()
        if (wanted.get("key"), wanted.get("operator")) == (HOSTNAME, "In")
    ]
    return values[0][0] if len(values) == 1 and len(values[0]) == 1 else ""


def _signing_request(node: str, request: AdmissionRequest, cluster: Cluster) -> str:
    spec = (request.obj or {}).get("spec") or {}
    if request.operation != "CREATE" or request.subresource or spec.get("signerName") not in _SIGNERS:
        return ""
    common = _common_name(spec.get("request") or "")
    if common == f"{PREFIX}{node}":
        return ""
    return f"can only create a node CSR with CN={PREFIX}{node}"


def _common_name(encoded: str) -> str:
    try:
        subject = x509.load_pem_x509_csr(base64.b64decode(encoded)).subject
    except ValueError:
        return ""
    names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


_CHECKS: dict[tuple[str, str], Check] = {
    ("", "pods"): _pod,
    ("", "nodes"): _node,
    ("", "serviceaccounts"): _account,
    ("", "persistentvolumeclaims"): _claim,
    ("", "persistentvolumes"): _volume,
    ("coordination.k8s.io", "leases"): _lease,
    ("storage.k8s.io", "csinodes"): _csi_node,
    ("certificates.k8s.io", "certificatesigningrequests"): _signing_request,
    ("resource.k8s.io", "resourceslices"): _slice,
}
