"""The resources of v1.36's stable API groups, as a table: what discovery lists and what clients name in
requests.

Source: API reference v1.36; `kubectl api-resources`.
"""

from __future__ import annotations

from typing import NamedTuple


class Resource(NamedTuple):
    """One resource. `group` is "" for core. `subresources` are what may follow an object's name in a path.
    `strategic` says whether it takes strategic merge patches."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = (
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    )
    singular: str = ""
    list_kind: str = ""
    strategic: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular_name(self) -> str:
        return self.singular or self.kind.lower()

    @property
    def list_kind_name(self) -> str:
        return self.list_kind or f"{self.kind}List"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The request path: `/api/v1/namespaces/NS/pods/NAME/SUB`."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


STATUS = ("status",)
SCALED = ("status", "scale")
ALL = ("all",)
EXTENSIONS = ("api-extensions",)
CREATE_ONLY = ("create",)


def _core(
    plural: str, kind: str, namespaced: bool = True, *more: tuple[str, ...], **named: tuple[str, ...]
) -> Resource:
    return Resource("", "v1", plural, kind, namespaced, *more, **named)  # type: ignore[arg-type]


BINDINGS = _core("bindings", "Binding", verbs=CREATE_ONLY)
CONFIG_MAPS = _core("configmaps", "ConfigMap", True, ("cm",))
COMPONENT_STATUSES = _core("componentstatuses", "ComponentStatus", False, ("cs",), verbs=("get", "list"))
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", True, ("ep",), singular="endpoints")
EVENTS = _core("events", "Event", True, ("ev",))
LIMIT_RANGES = _core("limitranges", "LimitRange", True, ("limits",))
NAMESPACES = _core(
    "namespaces",
    "Namespace",
    False,
    ("ns",),
    (),
    ("finalize", "status"),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
)
NODES = _core("nodes", "Node", False, ("no",), (), ("proxy", "status"))
PERSISTENT_VOLUME_CLAIMS = _core(
    "persistentvolumeclaims", "PersistentVolumeClaim", True, ("pvc",), (), STATUS
)
PERSISTENT_VOLUMES = _core("persistentvolumes", "PersistentVolume", False, ("pv",), (), STATUS)
PODS = _core(
    "pods",
    "Pod",
    True,
    ("po",),
    ALL,
    (
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "resize",
        "status",
    ),
)
POD_TEMPLATES = _core("podtemplates", "PodTemplate")
REPLICATION_CONTROLLERS = _core("replicationcontrollers", "ReplicationController", True, ("rc",), ALL, SCALED)
RESOURCE_QUOTAS = _core("resourcequotas", "ResourceQuota", True, ("quota",), (), STATUS)
SECRETS = _core("secrets", "Secret")
SERVICE_ACCOUNTS = _core("serviceaccounts", "ServiceAccount", True, ("sa",), (), ("token",))
SERVICES = _core("services", "Service", True, ("svc",), ALL, ("proxy", "status"))

CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision", True)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",), ALL, STATUS)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True, ("deploy",), ALL, SCALED)
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), ALL, SCALED)
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet", True, ("sts",), ALL, SCALED)

CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob", True, ("cj",), ALL, STATUS)
JOBS = Resource("batch", "v1", "jobs", "Job", True, (), ALL, STATUS)

HORIZONTAL_POD_AUTOSCALERS_V1 = Resource(
    "autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", True, ("hpa",), ALL, STATUS
)
HORIZONTAL_POD_AUTOSCALERS = HORIZONTAL_POD_AUTOSCALERS_V1._replace(version="v2")

POD_DISRUPTION_BUDGETS = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ("pdb",), (), STATUS
)

INGRESS_CLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", False)
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", True, ("ing",), (), STATUS)
IP_ADDRESSES = Resource("networking.k8s.io", "v1", "ipaddresses", "IPAddress", False, ("ip",))
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, ("netpol",))
SERVICE_CIDRS = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False, (), (), STATUS)

ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True)

CSI_DRIVERS = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", False)
CSI_NODES = Resource("storage.k8s.io", "v1", "csinodes", "CSINode", False)
CSI_STORAGE_CAPACITIES = Resource("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", True)
STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, ("sc",))
VOLUME_ATTACHMENTS = Resource(
    "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", False, (), (), STATUS
)
VOLUME_ATTRIBUTES_CLASSES = Resource(
    "storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", False, ("vac",)
)

PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, ("pc",))

CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False
)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False)
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", True)

LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", True)

CERTIFICATE_SIGNING_REQUESTS = Resource(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    False,
    ("csr",),
    (),
    ("approval", "status"),
)

MUTATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    False,
    (),
    EXTENSIONS,
)
MUTATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    False,
    (),
    EXTENSIONS,
)
MUTATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    False,
    (),
    EXTENSIONS,
)
VALIDATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    False,
    (),
    EXTENSIONS,
    STATUS,
)
VALIDATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    False,
    (),
    EXTENSIONS,
)
VALIDATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    False,
    (),
    EXTENSIONS,
)

CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    False,
    ("crd", "crds"),
    EXTENSIONS,
    STATUS,
)
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", False, (), EXTENSIONS, STATUS
)

SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False, verbs=CREATE_ONLY
)
TOKEN_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False, verbs=CREATE_ONLY
)
LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "localsubjectaccessreviews",
    "LocalSubjectAccessReview",
    True,
    verbs=CREATE_ONLY,
)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    False,
    verbs=CREATE_ONLY,
)
SELF_SUBJECT_RULES_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectrulesreviews",
    "SelfSubjectRulesReview",
    False,
    verbs=CREATE_ONLY,
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False, verbs=CREATE_ONLY
)

EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event", True, ("ev",))

RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False)

FLOW_SCHEMAS = Resource(
    "flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema", False, (), (), STATUS
)
PRIORITY_LEVEL_CONFIGURATIONS = Resource(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "prioritylevelconfigurations",
    "PriorityLevelConfiguration",
    False,
    (),
    (),
    STATUS,
)

DEVICE_CLASSES = Resource("resource.k8s.io", "v1", "deviceclasses", "DeviceClass", False)
RESOURCE_CLAIMS = Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", True, (), (), STATUS)
RESOURCE_CLAIM_TEMPLATES = Resource(
    "resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", True
)
RESOURCE_SLICES = Resource("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", False)

BUILT_IN: tuple[Resource, ...] = tuple(
    entry for entry in list(globals().values()) if isinstance(entry, Resource)
)
