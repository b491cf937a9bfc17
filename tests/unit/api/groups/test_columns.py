"""The columns of every kind's table, as `kubectl get` shows them: `+` marks those of `-o wide`, a type
follows a colon where it is no text.

Source: Kubernetes' printers, whose columns scripts rely on.
"""

from __future__ import annotations

import pytest

from podium.api.types import resources as of
from podium.api.types.resources import Resource
from tests.unit.api.groups.build import strategy

COLUMNS: dict[Resource, str] = {
    of.CONFIG_MAPS: "Name | Data | Age",
    of.COMPONENT_STATUSES: "Name | Status | Message | Error",
    of.ENDPOINTS: "Name | Endpoints | Age",
    of.EVENTS: (
        "Last Seen | Type | Reason | Object | Subobject+ | Source+ | Message | First Seen+ | Count+ | Name+"
    ),
    of.LIMIT_RANGES: "Name | Created At:date",
    of.NAMESPACES: "Name | Status | Age",
    of.NODES: (
        "Name | Status | Roles | Age | Version | Internal-IP+ | External-IP+ | OS-Image+ | "
        "Kernel-Version+ | Container-Runtime+"
    ),
    of.PERSISTENT_VOLUME_CLAIMS: (
        "Name | Status | Volume | Capacity | Access Modes | StorageClass | "
        "VolumeAttributesClass | Age | VolumeMode+"
    ),
    of.PERSISTENT_VOLUMES: (
        "Name | Capacity | Access Modes | Reclaim Policy | Status | Claim | StorageClass | "
        "VolumeAttributesClass | Reason | Age | VolumeMode+"
    ),
    of.PODS: "Name | Ready | Status | Restarts | Age | IP+ | Node+ | Nominated Node+ | Readiness Gates+",
    of.POD_TEMPLATES: "Name | Containers | Images | Pod Labels",
    of.REPLICATION_CONTROLLERS: (
        "Name | Desired:integer | Current:integer | Ready:integer | Age | Containers+ | Images+ | Selector+"
    ),
    of.RESOURCE_QUOTAS: "Name | Request | Limit | Age",
    of.SECRETS: "Name | Type | Data | Age",
    of.SERVICE_ACCOUNTS: "Name | Age",
    of.SERVICES: "Name | Type | Cluster-IP | External-IP | Port(s) | Age | Selector+",
    of.CONTROLLER_REVISIONS: "Name | Controller | Revision | Age",
    of.DAEMON_SETS: (
        "Name | Desired:integer | Current:integer | Ready:integer | Up-to-date:integer | "
        "Available:integer | Node Selector | Age | Containers+ | Images+ | Selector+"
    ),
    of.DEPLOYMENTS: "Name | Ready | Up-to-date | Available | Age | Containers+ | Images+ | Selector+",
    of.REPLICA_SETS: (
        "Name | Desired:integer | Current:integer | Ready:integer | Age | Containers+ | Images+ | Selector+"
    ),
    of.STATEFUL_SETS: "Name | Ready | Age | Containers+ | Images+",
    of.CRON_JOBS: (
        "Name | Schedule | Timezone | Suspend:boolean | Active:integer | Last Schedule | "
        "Age | Containers+ | Images+ | Selector+"
    ),
    of.JOBS: "Name | Status | Completions | Duration | Age | Containers+ | Images+ | Selector+",
    of.HORIZONTAL_POD_AUTOSCALERS_V1: "Name | Reference | Targets | MinPods | MaxPods | Replicas | Age",
    of.HORIZONTAL_POD_AUTOSCALERS: "Name | Reference | Targets | MinPods | MaxPods | Replicas | Age",
    of.POD_DISRUPTION_BUDGETS: "Name | Min Available | Max Unavailable | Allowed Disruptions:integer | Age",
    of.INGRESS_CLASSES: "Name | Controller | Parameters | Age",
    of.INGRESSES: "Name | Class | Hosts | Address | Ports | Age",
    of.IP_ADDRESSES: "Name | ParentRef",
    of.NETWORK_POLICIES: "Name | Pod-Selector | Age",
    of.SERVICE_CIDRS: "Name | CIDRs | Age",
    of.ENDPOINT_SLICES: "Name | AddressType | Ports | Endpoints | Age",
    of.CSI_DRIVERS: (
        "Name | AttachRequired:boolean | PodInfoOnMount:boolean | StorageCapacity:boolean | "
        "TokenRequests | RequiresRepublish:boolean | Modes | Age"
    ),
    of.CSI_NODES: "Name | Drivers:integer | Age",
    of.CSI_STORAGE_CAPACITIES: "Name | StorageClassName | Capacity",
    of.STORAGE_CLASSES: "Name | Provisioner | ReclaimPolicy | VolumeBindingMode | AllowVolumeExpansion | Age",
    of.VOLUME_ATTACHMENTS: "Name | Attacher | PV | Node | Attached:boolean | Age",
    of.VOLUME_ATTRIBUTES_CLASSES: "Name | DriverName | Age",
    of.PRIORITY_CLASSES: "Name | Value:integer | Global-Default:boolean | Age | PreemptionPolicy",
    of.CLUSTER_ROLE_BINDINGS: "Name | Role | Age | Users+ | Groups+ | ServiceAccounts+",
    of.CLUSTER_ROLES: "Name | Created At:date",
    of.ROLE_BINDINGS: "Name | Role | Age | Users+ | Groups+ | ServiceAccounts+",
    of.ROLES: "Name | Created At:date",
    of.LEASES: "Name | Holder | Age",
    of.CERTIFICATE_SIGNING_REQUESTS: "Name | Age | SignerName | Requestor | RequestedDuration | Condition",
    of.MUTATING_ADMISSION_POLICIES: "Name | Mutations:integer | ParamKind | Age",
    of.MUTATING_ADMISSION_POLICY_BINDINGS: "Name | PolicyName | ParamRef | Age",
    of.MUTATING_WEBHOOK_CONFIGURATIONS: "Name | Webhooks:integer | Age",
    of.VALIDATING_ADMISSION_POLICIES: "Name | Validations:integer | ParamKind | Age",
    of.VALIDATING_ADMISSION_POLICY_BINDINGS: "Name | PolicyName | ParamRef | Age",
    of.VALIDATING_WEBHOOK_CONFIGURATIONS: "Name | Webhooks:integer | Age",
    of.CUSTOM_RESOURCE_DEFINITIONS: "Name | Created At:date",
    of.API_SERVICES: "Name | Service | Available | Age",
    of.EVENTS_V1: (
        "Last Seen | Type | Reason | Object | Subobject+ | Source+ | Message | First Seen+ | Count+ | Name+"
    ),
    of.RUNTIME_CLASSES: "Name | Handler | Age",
    of.FLOW_SCHEMAS: "Name | PriorityLevel | MatchingPrecedence | DistinguisherMethod | Age | MissingPL",
    of.PRIORITY_LEVEL_CONFIGURATIONS: (
        "Name | Type | NominalConcurrencyShares | Queues | HandSize | QueueLengthLimit | Age"
    ),
    of.DEVICE_CLASSES: "Name | Age",
    of.RESOURCE_CLAIMS: "Name | State | Age",
    of.RESOURCE_CLAIM_TEMPLATES: "Name | Age",
    of.RESOURCE_SLICES: "Name | Node | Driver | Pool | Age",
}


@pytest.mark.parametrize("kind", COLUMNS, ids=lambda entry: f"{entry.plural}.{entry.group}")
def test_a_table_has_upstreams_columns(kind: Resource) -> None:
    told = " | ".join(
        f"{column.name}{'' if column.type == 'string' else ':' + column.type}{'+' * bool(column.priority)}"
        for column in strategy(kind).columns
    )
    assert told == COLUMNS[kind]


def test_every_kind_that_can_be_got_is_among_them() -> None:
    assert set(COLUMNS) == {entry for entry in of.BUILT_IN if "get" in entry.verbs}
