"""What people may do who were bound to the roles admin, edit and view: each of the three gathers the parts
that are labelled for it. Source: docs, "Using RBAC Authorization", user-facing roles."""

from __future__ import annotations

from podium.api.auth.policy.notation import Table

PARTS: Table = {
    "system:aggregate-to-admin": (
        "create: localsubjectaccessreviews.authorization.k8s.io",
        "readwrite: rolebindings.rbac.authorization.k8s.io roles.rbac.authorization.k8s.io",
    ),
    "system:aggregate-to-edit": (
        "read: pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
        "impersonate: serviceaccounts",
        "write: pods pods/attach pods/exec pods/portforward pods/proxy",
        "create: pods/eviction",
        "write: configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale "
        "secrets serviceaccounts services services/proxy",
        "create: serviceaccounts/token",
        "write: events events.events.k8s.io",
        "write: daemonsets.apps deployments.apps deployments/rollback.apps deployments/scale.apps "
        "replicasets.apps replicasets/scale.apps statefulsets.apps statefulsets/scale.apps",
        "write: horizontalpodautoscalers.autoscaling",
        "write: cronjobs.batch jobs.batch",
        "write: daemonsets.extensions deployments.extensions deployments/rollback.extensions "
        "deployments/scale.extensions ingresses.extensions networkpolicies.extensions "
        "replicasets.extensions replicasets/scale.extensions replicationcontrollers/scale.extensions",
        "write: poddisruptionbudgets.policy",
        "write: ingresses.networking.k8s.io networkpolicies.networking.k8s.io",
        "readwrite: leases.coordination.k8s.io",
        "write: resourceclaims.resource.k8s.io resourceclaimtemplates.resource.k8s.io",
    ),
    "system:aggregate-to-view": (
        "read: configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
        "read: bindings limitranges namespaces/status pods/log pods/status "
        "replicationcontrollers/status resourcequotas resourcequotas/status",
        "read: namespaces",
        "read: events events.events.k8s.io",
        "read: endpointslices.discovery.k8s.io",
        "read: controllerrevisions.apps daemonsets.apps daemonsets/status.apps deployments.apps "
        "deployments/scale.apps deployments/status.apps replicasets.apps replicasets/scale.apps "
        "replicasets/status.apps statefulsets.apps statefulsets/scale.apps statefulsets/status.apps",
        "read: horizontalpodautoscalers.autoscaling horizontalpodautoscalers/status.autoscaling",
        "read: cronjobs.batch cronjobs/status.batch jobs.batch jobs/status.batch",
        "read: daemonsets.extensions daemonsets/status.extensions deployments.extensions "
        "deployments/scale.extensions deployments/status.extensions ingresses.extensions "
        "ingresses/status.extensions networkpolicies.extensions replicasets.extensions "
        "replicasets/scale.extensions replicasets/status.extensions "
        "replicationcontrollers/scale.extensions",
        "read: poddisruptionbudgets.policy poddisruptionbudgets/status.policy",
        "read: ingresses.networking.k8s.io ingresses/status.networking.k8s.io "
        "networkpolicies.networking.k8s.io",
        "read: resourceclaims.resource.k8s.io resourceclaims/status.resource.k8s.io "
        "resourceclaimtemplates.resource.k8s.io",
    ),
}
