"""What admission adds to a write and what it refuses, against a small cluster in memory."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest

from podium.api.admission import Admission, AdmissionRequest
from podium.api.auth.users import User
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    CONFIG_MAPS,
    INGRESS_CLASSES,
    INGRESSES,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_QUOTAS,
    RUNTIME_CLASSES,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
    Resource,
)
from tests.unit import signing
from tests.unit.api.groups.build import container, created, pod, strategy
from tests.unit.api.groups.test_any_object import make


class World:
    """A cluster's objects, and requests to it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, str, str], Obj] = {}
        self.awaited: list[str] = []
        self.admission = Admission(self._lookup, self._every, self._appears, disabled=())
        self.add(NAMESPACES, "default", status={"phase": "Active"})
        self.add(SERVICE_ACCOUNTS, "default", "default")

    def add(self, resource: Resource, name: str, namespace: str = "", **fields: Any) -> None:
        meta = {"name": name, **fields.pop("metadata", {})}
        self.objects[resource, namespace, name] = {"metadata": meta, **fields}

    def _lookup(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self.objects.get((resource, namespace, name))

    def _every(self, resource: Resource, namespace: str = "") -> list[Obj]:
        return [
            obj
            for (kind, where, _), obj in self.objects.items()
            if kind is resource and namespace in ("", where)
        ]

    async def _appears(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        self.awaited.append(f"{namespace}/{name}")
        return None

    async def create(self, resource: Resource, obj: Obj, namespace: str = "default", **more: Any) -> Obj:
        """The object as admission leaves it, defaults before and validation after it as the server does."""
        new = copy.deepcopy(obj)
        strategy(resource).default(new)
        request = AdmissionRequest(
            "CREATE", resource, "", namespace, new["metadata"].get("name", ""), new, None, **more
        )
        await self.admission.mutate(request)
        strategy(resource).prepare_create(new)
        assert strategy(resource).validate_create(new) == []
        await self.admission.validate(request)
        return new

    async def delete(self, resource: Resource, name: str) -> None:
        request = AdmissionRequest("DELETE", resource, "", "", name, None, {"metadata": {"name": name}})
        await self.admission.mutate(request)
        await self.admission.validate(request)

    async def refusal(self, resource: Resource, obj: Obj, namespace: str = "default") -> StatusError:
        with pytest.raises(StatusError) as raised:
            await self.create(resource, obj, namespace)
        return raised.value


@pytest.fixture
def world() -> World:
    return World()


CONFIG: Obj = {"metadata": {"name": "c", "namespace": "default"}}


# --- namespaces


async def test_nothing_is_made_in_a_namespace_that_is_not_there(world: World) -> None:
    error = await world.refusal(CONFIG_MAPS, CONFIG, "nowhere")
    assert (error.code, error.message) == (404, 'namespaces "nowhere" not found')


async def test_nothing_is_made_in_a_namespace_that_is_going(world: World) -> None:
    world.add(NAMESPACES, "old", status={"phase": "Terminating"})
    error = await world.refusal(CONFIG_MAPS, CONFIG, "old")
    assert (error.code, error.reason) == (403, "Forbidden")
    assert error.message == (
        'configmaps "c" is forbidden: unable to create new content in namespace old because it is being '
        "terminated"
    )
    assert error.details is not None
    assert error.details["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace old is being terminated",
            "field": "metadata.namespace",
        }
    ]


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_some_namespaces_stay_for_ever(world: World, name: str) -> None:
    with pytest.raises(
        StatusError, match=f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    ):
        await world.delete(NAMESPACES, name)


async def test_other_namespaces_may_go(world: World) -> None:
    await world.delete(NAMESPACES, "mine")


# --- service accounts


async def test_a_pod_finds_its_token_in_a_volume(world: World) -> None:
    spec = (await world.create(PODS, pod()))["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    [volume] = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert volume["projected"] == {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
        "defaultMode": 420,
    }
    assert spec["containers"][0]["volumeMounts"] == [
        {
            "name": volume["name"],
            "readOnly": True,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }
    ]


async def test_an_account_that_is_not_there_refuses_the_pod(world: World) -> None:
    error = await world.refusal(PODS, pod(serviceAccountName="ghost"))
    assert (error.code, error.message) == (
        403,
        'pods "web" is forbidden: error looking up service account default/ghost: serviceaccount "ghost" '
        "not found",
    )
    assert world.awaited == []


async def test_the_default_account_is_waited_for(world: World) -> None:
    del world.objects[SERVICE_ACCOUNTS, "default", "default"]
    await world.refusal(PODS, pod())
    assert world.awaited == ["default/default"]


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"), [(False, None, False), (None, False, False), (True, False, True)]
)
async def test_whether_a_token_is_mounted(world: World, of_pod: Any, of_account: Any, mounted: bool) -> None:
    if of_account is not None:
        world.add(SERVICE_ACCOUNTS, "default", "default", automountServiceAccountToken=of_account)
    fields = {} if of_pod is None else {"automountServiceAccountToken": of_pod}
    assert ("volumes" in (await world.create(PODS, pod(**fields)))["spec"]) is mounted


async def test_a_container_with_something_of_its_own_there_is_left_alone(world: World) -> None:
    mounts = [{"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]
    obj = pod(volumes=[{"name": "v"}], containers=[container(volumeMounts=mounts)])
    spec = (await world.create(PODS, obj))["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["v"]


async def test_a_pod_pulls_with_the_secrets_of_its_account(world: World) -> None:
    world.add(SERVICE_ACCOUNTS, "default", "default", imagePullSecrets=[{"name": "registry"}])
    assert (await world.create(PODS, pod()))["spec"]["imagePullSecrets"] == [{"name": "registry"}]


# --- priorities, tolerations, classes


async def test_a_pod_without_class_has_priority_zero(world: World) -> None:
    spec = (await world.create(PODS, pod()))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")


async def test_a_class_gives_its_number(world: World) -> None:
    world.add(PRIORITY_CLASSES, "high", value=1000, preemptionPolicy="Never")
    spec = (await world.create(PODS, pod(priorityClassName="high")))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")


async def test_the_default_class_is_everybodys(world: World) -> None:
    world.add(PRIORITY_CLASSES, "usual", value=5, globalDefault=True)
    spec = (await world.create(PODS, pod()))["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == ("usual", 5)


async def test_the_systems_classes_are_always_there(world: World) -> None:
    spec = (await world.create(PODS, pod(priorityClassName="system-node-critical")))["spec"]
    assert spec["priority"] == 2_000_001_000


async def test_unknown_classes_and_numbers_of_ones_own_are_refused(world: World) -> None:
    error = await world.refusal(PODS, pod(priorityClassName="ghost"))
    assert error.message == 'pods "web" is forbidden: no PriorityClass with name ghost was found'
    error = await world.refusal(PODS, pod(priority=7))
    assert "the integer value of priority (7) must not be provided in pod spec" in error.message


async def test_there_is_one_default_class_at_most(world: World) -> None:
    world.add(PRIORITY_CLASSES, "usual", value=5, globalDefault=True)
    error = await world.refusal(
        PRIORITY_CLASSES, {"metadata": {"name": "b"}, "value": 1, "globalDefault": True}, ""
    )
    assert error.message.endswith(
        "PriorityClass usual is already marked as default. Only one default can exist"
    )


async def test_pods_stay_five_minutes_on_a_node_that_is_gone(world: World) -> None:
    tolerations = (await world.create(PODS, pod()))["spec"]["tolerations"]
    assert [(entry["key"], entry["tolerationSeconds"]) for entry in tolerations] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]


async def test_who_tolerates_everything_gets_no_more(world: World) -> None:
    given = [{"operator": "Exists"}]
    assert (await world.create(PODS, pod(tolerations=given)))["spec"]["tolerations"] == given


CLAIM: Obj = {
    "metadata": {"name": "data", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
DEFAULT_CLASS = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}


async def test_a_claim_gets_the_newest_default_class_and_a_guard(world: World) -> None:
    for name, time in (("slow", "2025-01-01T00:00:00Z"), ("fast", "2026-01-01T00:00:00Z")):
        world.add(STORAGE_CLASSES, name, metadata={**DEFAULT_CLASS, "creationTimestamp": time})
    claim = await world.create(PERSISTENT_VOLUME_CLAIMS, CLAIM)
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


async def test_a_claim_for_no_class_at_all_keeps_it(world: World) -> None:
    world.add(STORAGE_CLASSES, "fast", metadata=DEFAULT_CLASS)
    none = {**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": ""}}
    assert (await world.create(PERSISTENT_VOLUME_CLAIMS, none))["spec"]["storageClassName"] == ""


async def test_an_ingress_gets_the_default_class(world: World) -> None:
    marked = {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    world.add(INGRESS_CLASSES, "main", metadata=marked)
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    obj = {"metadata": {"name": "i", "namespace": "default"}, "spec": {"defaultBackend": backend}}
    assert (await world.create(INGRESSES, obj))["spec"]["ingressClassName"] == "main"


async def test_a_pod_gets_what_its_runtime_needs(world: World) -> None:
    world.add(
        RUNTIME_CLASSES, "vm", handler="vm", overhead={"podFixed": {"cpu": "250m"}},
        scheduling={"nodeSelector": {"vm": "yes"}},
    )  # fmt: skip
    spec = (await world.create(PODS, pod(runtimeClassName="vm")))["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"vm": "yes"})
    error = await world.refusal(PODS, pod(runtimeClassName="ghost"))
    assert error.message == 'pods "web" is forbidden: pod rejected: RuntimeClass "ghost" not found'


# --- limits and quotas


def limited(**resources: Any) -> Obj:
    return pod(containers=[container(resources=resources)])


async def test_a_limit_range_fills_in_and_says_so(world: World) -> None:
    item = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}
    world.add(LIMIT_RANGES, "l", "default", spec={"limits": [item]})
    new = await world.create(PODS, pod())
    assert new["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}
    assert new["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container main; cpu limit for container main"
    )


@pytest.mark.parametrize(
    ("item", "obj", "fault"),
    [
        (
            {"type": "Container", "max": {"cpu": "1"}},
            limited(limits={"cpu": "2"}),
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            {"type": "Container", "min": {"memory": "1Gi"}},
            limited(requests={"memory": "1Mi"}),
            "minimum memory usage per Container is 1Gi, but request is 1Mi",
        ),
        (
            {"type": "Container", "max": {"cpu": "1"}},
            pod(),
            "maximum cpu usage per Container is 1.  No limit is specified",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
            limited(requests={"cpu": "1"}, limits={"cpu": "3"}),
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"type": "Pod", "max": {"cpu": "1"}},
            limited(limits={"cpu": "2"}),
            "maximum cpu usage per Pod is 1, but limit is 2",
        ),
    ],
)
async def test_what_a_limit_range_refuses(world: World, item: Obj, obj: Obj, fault: str) -> None:
    world.add(LIMIT_RANGES, "l", "default", spec={"limits": [item]})
    error = await world.refusal(PODS, obj)
    assert error.message == f'pods "web" is forbidden: {fault}'


def quota(world: World, hard: Obj, **spec: Any) -> None:
    world.add(RESOURCE_QUOTAS, "q", "default", spec={"hard": hard, **spec})


async def test_a_quota_counts_what_is_there(world: World) -> None:
    quota(world, {"pods": "1"})
    await world.create(PODS, pod())
    world.objects[PODS, "default", "other"] = created(PODS, pod())
    error = await world.refusal(PODS, pod())
    assert error.message == (
        'pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )


async def test_a_pod_that_is_done_uses_nothing(world: World) -> None:
    quota(world, {"pods": "1"})
    done = created(PODS, pod())
    done["status"]["phase"] = "Succeeded"
    world.objects[PODS, "default", "done"] = done
    await world.create(PODS, pod())


async def test_a_quota_of_resources_makes_containers_say_what_they_need(world: World) -> None:
    quota(world, {"requests.cpu": "1"})
    error = await world.refusal(PODS, pod())
    assert error.message == 'pods "web" is forbidden: failed quota: q: must specify requests.cpu for: main'
    await world.create(PODS, limited(requests={"cpu": "1"}))
    error = await world.refusal(PODS, limited(requests={"cpu": "1500m"}))
    assert error.message.endswith(
        "exceeded quota: q, requested: requests.cpu=1500m, used: requests.cpu=0, limited: requests.cpu=1"
    )


async def test_objects_are_counted_by_kind(world: World) -> None:
    quota(world, {"count/configmaps": "0"})
    error = await world.refusal(CONFIG_MAPS, CONFIG)
    assert "exceeded quota: q, requested: count/configmaps=1" in error.message


async def test_a_quota_with_scopes_is_about_pods_in_them(world: World) -> None:
    quota(world, {"pods": "0"}, scopes=["Terminating"])
    await world.create(PODS, pod())
    await world.refusal(PODS, pod(activeDeadlineSeconds=5))


async def test_a_plugin_can_be_left_out(world: World) -> None:
    world.admission = Admission(world._lookup, world._every, disabled={"ServiceAccount"})
    assert "volumes" not in (await world.create(PODS, pod()))["spec"]


async def test_a_signing_request_says_who_made_it(world: World) -> None:
    obj = signing.request("csr", signing.pem(), "a.io/b", ["client auth"], username="somebody else")
    user = User("alice", ("team",), "u-7")
    new = await world.create(CERTIFICATE_SIGNING_REQUESTS, obj, "", user=user)
    assert (new["spec"]["username"], new["spec"]["uid"], new["spec"]["groups"]) == ("alice", "u-7", ["team"])


@pytest.mark.parametrize("resource", [PODS, INGRESSES, PERSISTENT_VOLUME_CLAIMS, PRIORITY_CLASSES])
async def test_whatever_fits_the_schema_is_judged_before_it_is_validated(
    world: World, resource: Resource
) -> None:
    item = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}
    world.add(LIMIT_RANGES, "l", "default", spec={"limits": [item]})
    world.add(SERVICE_ACCOUNTS, "web", "default")
    world.add(
        RUNTIME_CLASSES, "web", overhead={"podFixed": {"cpu": "1"}}, scheduling={"nodeSelector": {"a": "b"}}
    )
    for seed in range(30):
        obj = make(resource, f"{seed}")
        strategy(resource).default(obj)
        # A refusal is fine; any other failure is not.
        with suppress(StatusError):
            await world.admission.mutate(
                AdmissionRequest("CREATE", resource, "", "default", "any", obj, None)
            )


# --- nodes


async def test_a_new_node_takes_no_pods_yet(world: World) -> None:
    not_ready = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    other = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    made = await world.create(NODES, {"metadata": {"name": "n"}, "spec": {"taints": [other]}})
    assert made["spec"]["taints"] == [other, not_ready]
    again = await world.create(NODES, {"metadata": {"name": "m"}, "spec": {"taints": [not_ready]}})
    assert again["spec"]["taints"] == [not_ready]
