"""What objects of every kind are refused for: the least object, with one thing wrong, and upstream's words.

Source: API reference v1.36; the messages are those of upstream's API server.
"""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import resources as of
from podium.api.types.resources import Resource
from tests.unit.api.groups.build import faults, meta
from tests.unit.api.groups.least import LABELS, POD, bent, name_of

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and "
    "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

Case = tuple[dict[str, Any], list[str]]

FAULTS: dict[Resource, list[Case]] = {
    of.NAMESPACES: [
        ({"metadata/name": "a.b"}, ['metadata.name: Invalid value: "a.b": must not contain dots']),
        (
            {"spec/finalizers": ["kubernetes", "mine"]},
            [
                'spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it '
                "fully qualified"
            ],
        ),
        ({"spec/finalizers": ["orphan", "example.com/mine"]}, []),
    ],
    of.CONFIG_MAPS: [
        ({"data": {"a": "1"}, "binaryData": {"a": "MQ=="}},
         ['data[a]: Invalid value: "a": duplicate of key present in binaryData']),
        ({"data": {"..": ""}}, ["data[..]: Invalid value: \"..\": must not be '..'"]),
        ({"data": {"..a": ""}}, ["data[..a]: Invalid value: \"..a\": must not start with '..'"]),
        ({"data": {"a": "x" * (1024 * 1024 + 1)}}, [": Too long: may not be more than 1048576 bytes"]),
    ],
    of.SECRETS: [
        ({"type": "kubernetes.io/tls"}, ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        ({"type": "kubernetes.io/ssh-auth"}, ["data[ssh-privatekey]: Required value"]),
        ({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}},
         ["data[ssh-privatekey]: Required value"]),
        ({"type": "kubernetes.io/basic-auth"},
         ["data[username]: Required value", "data[password]: Required value"]),
        ({"type": "kubernetes.io/dockerconfigjson"}, ["data[.dockerconfigjson]: Required value"]),
        ({"type": "kubernetes.io/service-account-token"},
         ["metadata.annotations[kubernetes.io/service-account.name]: Required value"]),
        ({"type": "example.com/anything"}, []),
    ],
    of.ENDPOINTS: [
        ({"subsets": [{}]}, ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]),
        ({"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]},
         ['subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range '
          "(127.0.0.0/8, ::1/128)"]),
        ({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2, "name": "b"}]}]},
         ["subsets[0].ports[0].name: Required value"]),
        ({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 0}]}]},
         ["subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
    ],
    of.NODES: [
        ({"spec/podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]},
         ['spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than '
           'one CIDR for '
          "each IP family"]),
        ({"spec/podCIDR": "10.0.0.7/24"},
         ['spec.podCIDRs[0]: Invalid value: "10.0.0.7/24": must not have bits set beyond the prefix length']),
        ({"spec/podCIDR": "010.0.0.0/24"},
         ['spec.podCIDRs[0]: Invalid value: "010.0.0.0/24": must not have leading 0s in IP or '
           'prefix length']),
        ({"spec/podCIDR": "ten"}, [f'spec.podCIDRs[0]: Invalid value: "ten": {CIDR}']),
        ({"spec/taints": [{"key": "a", "effect": "Never"}]},
         ['metadata.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", '
          '"PreferNoSchedule", "NoExecute"']),
        ({"spec/taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]},
         ['metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule",'
          '"TimeAdded":null}: taints must be unique by key and effect pair']),
        ({"status/capacity": {"pods": "-1"}},
         ['status.capacity.pods: Invalid value: "-1": must be greater than or equal to 0',
          'status.allocatable.pods: Invalid value: "-1": must be greater than or equal to 0']),
        ({"status/declaredFeatures": ["B", "A"]},
         ['status.declaredFeatures[1]: Invalid value: "A": list must be sorted alphabetically']),
    ],
    of.EVENTS: [
        ({"involvedObject/namespace": "other", "eventTime": None},
         ['involvedObject.namespace: Invalid value: "other": does not match event.namespace']),
        ({"reportingComponent": ""},
         ["reportingComponent: Required value", 'reportingComponent: Invalid value: "": name part must be '
          "non-empty", f'reportingComponent: Invalid value: "": {KEY}']),
        ({"action": ""}, ["action: Required value"]),
        ({"reason": "r" * 129}, ['reason: Invalid value: "": can have at most 128 characters']),
        ({"message": "m" * 1025}, ['message: Invalid value: "": can have at most 1024 characters']),
        ({"reportingInstance": "i" * 129},
         ['reportingInstance: Invalid value: "": can have at most 128 characters']),
    ],
    of.EVENTS_V1: [
        ({"type": "Strange"}, ['type: Invalid value: "": has invalid value: Strange']),
        ({"series": {"count": 1}},
         ['series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: "
               "Required value"]),
        ({"deprecatedCount": 3}, ['count: Invalid value: "": needs to be unset']),
    ],
    of.LIMIT_RANGES: [
        ({"spec/limits": [{"type": "Strange"}]},
         ['spec.limits[0].type: Invalid value: "Strange": must be a standard limit type or fully qualified']),
        ({"spec/limits": [{"type": "Container", "max": {"pods": "1"}}]},
         [f'spec.limits[0].{key}[pods]: Invalid value: "pods": must be a standard resource for containers'
          for key in ("max", "default", "defaultRequest")]),
        ({"spec/limits": [{"type": "Pod", "default": {"cpu": "1"}}]},
         ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"]),
        ({"spec/limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]},
         ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1']),
        ({"spec/limits": [{"type": "PersistentVolumeClaim"}]},
         ["spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but "
          "neither was provided"]),
        ({"spec/limits": [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "0.5"}}]},
         ['spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "0.5": ratio 0.5 is less than 1']),
    ],
    of.RESOURCE_QUOTAS: [
        ({"spec": {"scopes": ["Strange"]}},
         ['spec.scopes: Invalid value: ["Strange"]: unsupported scope']),
        ({"spec": {"scopes": ["BestEffort", "NotBestEffort"]}},
         ['spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes']),
        ({"spec": {"scopes": ["BestEffort"], "hard": {"cpu": "1"}}},
         ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource']),
        ({"spec": {"hard": {"storage": "1"}}},
         ['spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota']),
    ],
    of.PERSISTENT_VOLUMES: [
        ({"spec/hostPath": None}, ["spec: Required value: must specify a volume type"]),
        ({"spec/nfs": {"server": "s", "path": "/p"}},
         ["spec.nfs: Forbidden: may not specify more than 1 volume type"]),
        ({"spec/hostPath": None, "spec/gcePersistentDisk": {"partition": 300}},
         ["spec.persistentDisk.pdName: Required value",
          "spec.persistentDisk.partition: Invalid value: 300: must be between 1 and 255, inclusive"]),
        ({"spec/hostPath": None, "spec/csi": {"driver": "d", "volumeHandle": "h",
                                              "nodePublishSecretRef": {"name": "S"}}},
         [f'spec.csi.nodePublishSecretRef.name: Invalid value: "S": {SUBDOMAIN}',
          "spec.csi.nodePublishSecretRef.namespace: Required value"]),
        ({"spec/hostPath": None, "spec/azureDisk": {"diskName": "d", "diskURI": "x", "kind": "Managed"}},
         ['spec.azureDisk.diskURI: Unsupported value: "x": supported values: "/subscriptions/{sub-id}/'
          'resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"']),
        ({"spec/hostPath": None, "spec/glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": ""}},
         ['spec.glusterfs.endpointsNamespace: Invalid value: "": if the endpointnamespace is set, it must be '
          "a valid namespace name"]),
        ({"spec/hostPath": None, "spec/local": {"path": "/d"}},
         ["spec.nodeAffinity: Required value: Local volume requires node affinity"]),
    ],
    of.PERSISTENT_VOLUME_CLAIMS: [
        ({"spec/accessModes": []},
         ["spec.accessModes: Required value: at least 1 access mode is required"]),
        ({"spec/accessModes": ["Sometimes"]},
         ['spec.accessModes: Unsupported value: "Sometimes": supported values: "ReadOnlyMany", '
          '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"']),
        ({"spec/resources": {}}, ["spec.resources[storage]: Required value"]),
        ({"spec/resources": {"requests": {"storage": "0"}}},
         ['spec.resources[storage]: Invalid value: "0": must be greater than zero']),
    ],
    of.REPLICATION_CONTROLLERS: [
        ({"spec/replicas": -1}, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        ({"spec/selector": {"app": "other"}},
         ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template '
          "`labels`"]),
    ],
    of.SERVICES: [
        ({"metadata/name": "1web"}, []),
        ({"metadata/annotations": {"service.kubernetes.io/topology-aware-hints": "auto",
                                   "service.kubernetes.io/topology-mode": "disabled"}},
         ['metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "disabled": must match '
          "annotations[service.kubernetes.io/topology-aware-hints] when both are specified"]),
        ({"metadata/annotations": {"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8,x"},
          "spec/type": "LoadBalancer"},
         ["metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: "
          f'"x": {CIDR}']),
        ({"spec/clusterIP": "10.1.1.01"},
         ['spec.clusterIPs[0]: Invalid value: "10.1.1.01": must not have leading 0s']),
        ({"spec/clusterIPs": ["10.0.0.1", "10.0.0.2"], "spec/clusterIP": "10.0.0.1",
          "spec/ipFamilyPolicy": "PreferDualStack"},
         ['spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each '
          "IP family"]),
        ({"spec/trafficDistribution": "Far"},
         ['spec.trafficDistribution: Unsupported value: "Far": supported values: "PreferClose", '
          '"PreferSameZone", "PreferSameNode"']),
        ({"spec/sessionAffinity": "ClientIP",
          "spec/sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
         ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 "
          "and less than 86400"]),
        ({"spec/loadBalancerClass": "x"},
         ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"]),
    ],
    of.STATEFUL_SETS: [
        ({"spec/updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}},
         ["spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"]),
        ({"spec/podManagementPolicy": "Any"},
         ["spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'"]),
        ({"spec/persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}},
         ['spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported '
          'values: "Retain", "Delete"']),
    ],
    of.CONTROLLER_REVISIONS: [
        ({"revision": -1}, ["revision: Invalid value: -1: must be greater than or equal to 0"]),
        ({"data": None}, ["data: Required value: data is mandatory"]),
        ({"data": [1]}, ["data: Required value: data must be a valid JSON object"]),
    ],
    of.JOBS: [
        ({"spec/completionMode": "Indexed"}, []),
        ({"spec/managedBy": "me"},
         ['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")']),
        ({"spec/managedBy": "Me/you"}, [f'spec.managedBy: Invalid value: "Me": {SUBDOMAIN}']),
        ({"spec/backoffLimitPerIndex": 1},
         ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]),
        ({"spec/template/spec/restartPolicy": "Always"},
         ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    ],
    of.CRON_JOBS: [
        ({"spec/timeZone": "Nowhere/At"},
         ['spec.timeZone: Invalid value: "Nowhere/At": unknown time zone Nowhere/At']),
        ({"metadata/name": "c" * 53},
         [f'metadata.name: Invalid value: "{"c" * 53}": must be no more than 52 characters']),
        ({"spec/concurrencyPolicy": "Maybe"},
         ['spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", '
          '"Replace"']),
    ],
    of.POD_DISRUPTION_BUDGETS: [
        ({"spec/minAvailable": "101%"},
         ['spec.minAvailable: Invalid value: "101%": must not be greater than 100%']),
        ({"spec/unhealthyPodEvictionPolicy": "Maybe"},
         ['spec.unhealthyPodEvictionPolicy: Unsupported value: "Maybe": supported values: "AlwaysAllow", '
          '"IfHealthyBudget"']),
    ],
    of.HORIZONTAL_POD_AUTOSCALERS: [
        ({"spec/maxReplicas": 0},
         ["spec.maxReplicas: Required value: must be set and greater than 0",
          "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"]),
        ({"spec/minReplicas": 0},
         ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]),
        ({"spec/scaleTargetRef/kind": "a/b"},
         ["spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'"]),
    ],
    of.INGRESSES: [
        ({"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        ({"spec/tls": [{"secretName": "S"}]}, [f'spec.tls[0].secretName: Invalid value: "S": {SUBDOMAIN}']),
        ({"spec/ingressClassName": "a", "metadata/annotations": {"kubernetes.io/ingress.class": "b"}},
         ['annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` when '
          "both are specified"]),
        ({"spec/defaultBackend": {"resource": {"kind": "a/b", "name": "c"}}},
         ["spec.defaultBackend.resource.kind: Invalid value: \"a/b\": may not contain '/'"]),
        ({"spec/defaultBackend/service/name": "1web"}, []),
    ],
    of.INGRESS_CLASSES: [
        ({"spec/controller": ""}, ["spec.controller: Required value"]),
        ({"spec/controller": "c" * 251 + "/d"},
         ["spec.controller: Too long: may not be more than 250 bytes"]),
        ({"spec/parameters": {"kind": "k", "name": "n", "scope": "Namespace"}},
         ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]),
        ({"spec/parameters": {"kind": "k", "name": "n", "namespace": "x"}},
         ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]),
        ({"spec/parameters": {"kind": "k", "name": "n", "scope": "World"}},
         ['spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"']),
    ],
    of.NETWORK_POLICIES: [
        ({"spec/ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.1/8"}}]}]},
         ['spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond '
          "the prefix length"]),
        ({"spec/ingress": [{"ports": [{"port": 80, "endPort": 70}]}]},
         ["spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`"]),
        ({"spec/policyTypes": ["Sideways"]},
         ['spec.policyTypes[0]: Unsupported value: "Sideways": supported values: "Ingress", "Egress"']),
    ],
    of.SERVICE_CIDRS: [
        ({"spec/cidrs": []}, ["spec.cidrs: Required value: at least one CIDR required"]),
        ({"spec/cidrs": ["10.0.0.0/24", "10.1.0.0/24"]},
         ['spec.cidrs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: may specify no more than one '
           'IP for each '
          "IP family, i.e 192.168.0.0/24 and 2001:db8::/64"]),
        ({"spec/cidrs": ["fd00:0::/64"]},
         ['spec.cidrs[0]: Invalid value: "fd00:0::/64": must be in canonical form ("fd00::/64")']),
    ],
    of.IP_ADDRESSES: [
        ({"spec": {}}, ["spec.parentRef: Required value"]),
        ({"spec/parentRef": {"name": "n"}}, ["spec.parentRef.resource: Required value"]),
        ({"spec/parentRef/group": "G"}, [f'spec.parentRef.group: Invalid value: "G": {SUBDOMAIN}']),
    ],
    of.ENDPOINT_SLICES: [
        ({"addressType": "IPv5"},
         ['addressType: Unsupported value: "IPv5": supported values: "FQDN", "IPv4", "IPv6"']),
        ({"addressType": "FQDN", "endpoints": [{"addresses": ["local"]}]},
         ['endpoints[0].addresses[0]: Invalid value: "local": should be a domain with at least two segments '
          "separated by dots"]),
        ({"endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "a"}, {"name": "a"}]}}]},
         ['endpoints[0].hints.forZones[1].name: Duplicate value: "a"']),
        ({"endpoints": [{"addresses": ["10.0.0.1"],
                         "hints": {"forZones": [{"name": f"z{index}"} for index in range(9)]}}]},
         ["endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"]),
        ({"endpoints": [{"addresses": ["ten"]}]},
         [f'endpoints[0].addresses[0]: Invalid value: "ten": {ADDRESS}']),
    ],
    of.CSI_NODES: [
        ({"spec/drivers": [{"name": "d", "nodeID": "n" * 257}]},
         [f'spec.drivers[0].nodeID: Invalid value: "{"n" * 257}": must be 256 characters or less']),
        ({"spec/drivers": [{"name": "d", "nodeID": "n"}, {"name": "d", "nodeID": "n"}]},
         ['spec.drivers[1].name: Duplicate value: "d"']),
    ],
    of.CSI_DRIVERS: [
        ({"spec/nodeAllocatableUpdatePeriodSeconds": 9},
         ["spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 "
          "seconds"]),
        ({"spec/volumeLifecycleModes": ["Never"]},
         ['spec.volumeLifecycleModes: Unsupported value: "Never": supported values: "Ephemeral", '
          '"Persistent"']),
    ],
    of.VOLUME_ATTACHMENTS: [
        ({"spec/source": {}},
         ["spec.source: Required value: must specify exactly one of inlineVolumeSpec and "
          "persistentVolumeName"]),
    ],
    of.VOLUME_ATTRIBUTES_CLASSES: [
        ({"parameters": {}}, ["parameters: Required value: must contain at least one key/value pair"]),
    ],
    of.PRIORITY_CLASSES: [
        ({"metadata/name": "system-mine"},
         ["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use "
          "only. error: system-mine is not a known system priority class"]),
        ({"metadata/name": "system-node-critical"},
         ["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use "
          "only. error: value of system-node-critical PriorityClass must be 2000001000"]),
        ({"preemptionPolicy": "Maybe"},
         ['preemptionPolicy: Unsupported value: "Maybe": supported values: "PreemptLowerPriority", "Never"']),
    ],
    of.RUNTIME_CLASSES: [
        ({"handler": ""}, ["handler: Required value"]),
        ({"handler": "a.b"}, ['handler: Invalid value: "a.b": must not contain dots']),
        ({"overhead": {"podFixed": {"bananas": "1"}}},
         ['overhead.limits[bananas]: Invalid value: "bananas": must be a standard resource type or fully '
          "qualified",
          'overhead.limits[bananas]: Invalid value: "bananas": must be a standard resource for containers']),
        ({"scheduling": {"tolerations": [{"operator": "Exists"}, {"operator": "Exists"}]}},
         ['scheduling.tolerations[1]: Duplicate value: {"operator":"Exists"}']),
    ],
    of.CLUSTER_ROLES: [
        ({"aggregationRule": {}},
         ["aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required "
          "if aggregationRule is non-nil"]),
        ({"rules": [{"verbs": ["get"], "apiGroups": [""]}]},
         ["rules[0].resources: Required value: resource rules must supply at least one resource"]),
    ],
    of.ROLE_BINDINGS: [
        ({"subjects": [{"kind": "Robot", "name": "r"}]},
         ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", '
          '"Group"']),
        ({"roleRef/name": ""}, ["roleRef.name: Required value"]),
    ],
    of.LEASES: [
        ({"spec": {"leaseDurationSeconds": 0}},
         ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]),
    ],
    of.CERTIFICATE_SIGNING_REQUESTS: [
        ({"spec/usages": []}, ["spec.usages: Required value"]),
        ({"spec/signerName": "signer"},
         ['spec.signerName: Invalid value: "signer": must be a fully qualified domain and path of the form '
          '"example.com/signer-name"']),
        ({"spec/expirationSeconds": 599},
         ["spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 "
          "minutes)"]),
    ],
    of.VALIDATING_WEBHOOK_CONFIGURATIONS: [
        ({"webhooks/0/name": "short"},
         ['webhooks[0].name: Invalid value: "short": should be a domain with at least three segments '
          "separated by dots"]),
        ({"webhooks/0/sideEffects": None},
         ["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"]),
        ({"webhooks/0/admissionReviewVersions": ["v2"]},
         ['webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, '
          "v1beta1"]),
        ({"webhooks/0/clientConfig": {"url": "http://example.com"}},
         ["webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
          "desired format: https://host[/path]"]),
        ({"webhooks/0/rules": [{"operations": ["*", "CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                                "resources": ["pods", "*"]}]},
         ["webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not "
          "specify other operations"]),
        ({"webhooks/0/rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                                "resources": ["pods/*", "pods/log"]}]},
         ["webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not "
          "specify pods/log"]),
    ],
    of.MUTATING_WEBHOOK_CONFIGURATIONS: [
        ({"webhooks/0/reinvocationPolicy": "Often"},
         ['webhooks[0].reinvocationPolicy: Unsupported value: "Often": supported values: "IfNeeded", '
          '"Never"']),
    ],
    of.VALIDATING_ADMISSION_POLICIES: [
        ({"spec/matchConstraints": None}, ["spec.matchConstraints: Required value"]),
        ({"spec/validations": []},
         [f"spec.{key}: Required value: validations or auditAnnotations must contain at least one item"
          for key in ("validations", "auditAnnotations")]),
        ({"spec/validations/0/reason": "Because"},
         ['spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", '
          '"Invalid", "RequestEntityTooLarge"']),
        ({"spec/validations/0/message": "a\nb"},
         ['spec.validations[0].message: Invalid value: "a\\nb": must not contain line breaks']),
        ({"spec/variables": [{"name": "for", "expression": "1"}]},
         ['spec.variables[0].name: Invalid value: "for": must be a valid CEL identifier']),
        ({"spec/paramKind": {"apiVersion": "v1"}}, ["spec.paramKind.kind: Required value"]),
    ],
    of.VALIDATING_ADMISSION_POLICY_BINDINGS: [
        ({"spec/validationActions": []},
         ["spec.validationActions: Required value: at least one validation action is required"]),
        ({"spec/validationActions": ["Deny", "Warn"]},
         ['spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn '
          "(repeating the same validation failure information in the API response and headers serves no "
          "purpose)"]),
        ({"spec/paramRef": {"name": "a"}}, ["spec.paramRef.parameterNotFoundAction: Required value"]),
        ({"spec/paramRef": {"parameterNotFoundAction": "Deny"}},
         ["spec.paramRef: Required value: one of name or selector must be specified"]),
    ],
    of.MUTATING_ADMISSION_POLICIES: [
        ({"spec/reinvocationPolicy": None}, ["spec.reinvocationPolicy: Required value"]),
        ({"spec/mutations": [{"patchType": "JSONPatch"}]},
         ["spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch"]),
        ({"spec/matchConstraints/resourceRules/0/operations": ["DELETE"]},
         ['spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: '
          '"*", "CONNECT", "CREATE", "UPDATE"']),
    ],
    of.FLOW_SCHEMAS: [
        ({"spec/matchingPrecedence": 10001},
         ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]),
        ({"spec/matchingPrecedence": 1},
         ["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have "
          "matchingPrecedence 1"]),
        ({"spec/rules": [{"subjects": [{"kind": "User"}], "nonResourceRules": [
            {"verbs": ["get"], "nonResourceURLs": ["/a*b"]}]}]},
         ["spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
          'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*b": wildcard can only do '
          "suffix matching"]),
    ],
    of.PRIORITY_LEVEL_CONFIGURATIONS: [
        ({"spec/type": "Exempt", "spec/limited": None},
         ["spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"]),
        ({"spec/limited": None},
         ["spec.limited: Required value: must not be empty when type is Limited"]),
        ({"spec/limited/limitResponse": {"type": "Queue"}},
         ["spec.limited.limitResponse.queuing: Required value: must not be empty if "
          "limited.limitResponse.type is Limited"]),
        ({"spec/limited/limitResponse": {"type": "Queue", "queuing": {"queues": 64, "handSize": 11}}},
         ["spec.limited.limitResponse.queuing.handSize: Invalid value: 11: required entropy bits of deckSize "
          "64 and handSize 11 should not be greater than 60"]),
        ({"spec/limited/lendablePercent": 101},
         ["spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive"]),
    ],
    of.DEVICE_CLASSES: [
        ({"spec/selectors": [{}]}, ["spec.selectors[0].cel: Required value"]),
        ({"spec/config": [{"opaque": {"driver": "d"}}]}, ["spec.config[0].opaque.parameters: "
              "Required value"]),
        ({"spec/extendedResourceName": "cpu"},
         ['spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name']),
    ],
    of.RESOURCE_CLAIMS: [
        ({"spec/devices/requests": [{"name": "a"}]},
         ["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is "
          "required"]),
        ({"spec/devices/requests/0/exactly/allocationMode": "All",
            "spec/devices/requests/0/exactly/count": 2},
         ["spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when "
          "allocationMode is 'All'"]),
        ({"spec/devices/constraints": [{"requests": ["none"], "matchAttribute": "gpu.example.com/model"}]},
         ['spec.devices.constraints[0].requests[0]: Invalid value: "none": must be the name of a request in '
          "the claim or the name of a request and a subrequest separated by '/'"]),
        ({"spec/devices/requests/0/exactly/deviceClassName": ""},
         ["spec.devices.requests[0].exactly.deviceClassName: Required value"]),
    ],
    of.RESOURCE_CLAIM_TEMPLATES: [
        ({"spec/metadata": {"name": "n"}}, ["spec.metadata.name: Forbidden: cannot be set"]),
    ],
    of.RESOURCE_SLICES: [
        ({"spec/allNodes": True},
         ['spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, '
          "`allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set"]),
        ({"spec/pool/resourceSliceCount": 0},
         ["spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"]),
        ({"spec/devices": [{"name": "a", "attributes": {"model": {"string": "x", "int": 1}}}]},
         ['spec.devices[0].attributes[model]: Invalid value: {"string":"x","int":1}: exactly one value must '
          "be specified"]),
        ({"spec/devices": [{"name": "a"}, {"name": "a"}]}, ['spec.devices[1]: Duplicate value: "a"']),
        ({"spec/devices": [{"name": "a", "attributes": {"v": {"version": "1"}}}]},
         ['spec.devices[0].attributes[v].version: Invalid value: "1": must be a string compatible with '
          "semver.org spec 2.0.0"]),
    ],
    of.POD_TEMPLATES: [
        ({"template/spec": {**POD, "ephemeralContainers": [{"name": "e", "image": "i"}]}},
         ["template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"]),
    ],
    of.DEPLOYMENTS: [
        ({"spec/selector": {}},
         ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        ({"spec/progressDeadlineSeconds": 5, "spec/minReadySeconds": 5},
         ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"]),
        ({"spec/strategy": {"type": "Recreate", "rollingUpdate": {}}},
         ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
          "'Recreate'"]),
    ],
    of.DAEMON_SETS: [
        ({"spec/updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}},
         ["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable "
          "is non-zero"]),
    ],
    of.REPLICA_SETS: [
        ({"spec/template/metadata/labels": {"app": "other"}, "spec/selector": {"matchLabels": LABELS}},
         ['spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match template '
          "`labels`"]),
    ],
}  # fmt: skip

CASES = [
    pytest.param(resource, changes, expected, id=f"{resource.plural}-{index}")
    for resource, cases in FAULTS.items()
    for index, (changes, expected) in enumerate(cases)
]


@pytest.mark.parametrize(("resource", "changes", "expected"), CASES)
def test_a_bad_object_is_refused_in_upstreams_words(
    resource: Resource, changes: dict[str, Any], expected: list[str]
) -> None:
    obj = bent(resource, changes)
    obj["metadata"] = {**meta(name_of(resource)), **obj["metadata"]}
    if not resource.namespaced:
        del obj["metadata"]["namespace"]
    assert faults(resource, obj) == expected
