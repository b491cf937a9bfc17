"""Pods of one template, as controllers make them by the thousand: what the cluster says to each is looked at
for each."""

from __future__ import annotations

import pytest

from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from tests.unit.api.http.harness import CORE, Http, pod

ENFORCE = "pod-security.kubernetes.io/enforce"
SPACE = f"{CORE}/namespaces/repeated"
PODS = f"{SPACE}/pods"


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(authorization=["RBAC"])


async def space(http: Http, name: str = "repeated", **labels: str) -> str:
    await http.made(f"{CORE}/namespaces", {"metadata": {"name": name, "labels": labels}})
    await http.made(f"{CORE}/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    return f"{CORE}/namespaces/{name}/pods"


async def test_what_one_namespace_lets_in_another_refuses(http: Http) -> None:
    pods, guarded = await space(http), await space(http, "guarded", **{ENFORCE: "restricted"})
    for name in ("a", "b"):
        await http.made(pods, pod(name))
        reply = await http.post(guarded, pod(name))
        assert (reply.code, "violates PodSecurity" in reply.message) == (403, True)


async def test_a_namespace_that_gets_stricter_refuses_the_next_pod(http: Http) -> None:
    pods = await space(http, **{ENFORCE: "baseline"})
    for name in ("a", "b"):
        await http.made(pods, pod(name))
    await http.patch(SPACE, {"metadata": {"labels": {ENFORCE: "restricted"}}})
    assert (await http.post(pods, pod("c"))).code == 403
    await http.patch(SPACE, {"metadata": {"labels": {ENFORCE: "baseline"}}})
    await http.made(pods, pod("c"))


@pytest.mark.parametrize(
    ("version", "annotation"),
    [
        ("latest", "container.apparmor.security.beta.kubernetes.io/main"),
        ("v1.18", "seccomp.security.alpha.kubernetes.io/pod"),
        ("v1.18", "container.seccomp.security.alpha.kubernetes.io/main"),
    ],
)
async def test_an_annotation_is_held_against_a_pod_whose_spec_is_within_the_level(
    http: Http, version: str, annotation: str
) -> None:
    pods = await space(http, **{ENFORCE: "baseline", f"{ENFORCE}-version": version})
    await http.made(pods, pod("bare"))
    noted = pod("noted")
    noted["metadata"]["annotations"] = {annotation: "unconfined"}
    assert (await http.post(pods, noted)).code == 403
    await http.made(pods, pod("again"))


async def test_limits_priorities_and_accounts_are_those_of_the_moment(http: Http) -> None:
    pods = await space(http)
    before = await http.made(pods, pod("before"))
    assert before["spec"]["priority"] == 0
    assert "requests" not in before["spec"]["containers"][0]["resources"]
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    await http.made(classes, {"metadata": {"name": "high"}, "value": 7, "globalDefault": True})
    limits = [{"type": "Container", "defaultRequest": {"cpu": "10m"}}]
    await http.made(f"{SPACE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    between = await http.made(pods, pod("between"))
    assert (between["spec"]["priority"], between["spec"]["priorityClassName"]) == (7, "high")
    assert between["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "10m"}
    assert between["status"]["qosClass"] == "Burstable"
    await http.delete(f"{classes}/high")
    await http.delete(f"{SPACE}/limitranges/l")
    after = await http.made(pods, pod("after"))
    assert after["spec"]["priority"] == 0
    assert after["status"]["qosClass"] == "BestEffort"
    await http.delete(f"{SPACE}/serviceaccounts/default")
    assert (await http.post(pods, pod("last"))).code == 403


async def test_a_spec_that_a_patch_breaks_is_refused_and_the_next_pod_is_whole(http: Http) -> None:
    pods = await space(http)
    made = [await http.made(pods, pod(name)) for name in ("a", "b")]
    reply = await http.patch(f"{pods}/a", {"spec": {"containers": [{"name": "main", "image": " "}]}})
    assert reply.code == 422
    assert (await http.patch(f"{pods}/a", {"metadata": {"labels": {"n": "1"}}})).code == 200
    assert (await http.get(f"{pods}/b")).obj == made[1]
    assert _without_names((await http.made(pods, pod("c")))["spec"]) == _without_names(made[0]["spec"])


async def test_who_changes_what_was_handed_out_changes_nothing_else(server: ApiServer, http: Http) -> None:
    pods = await space(http)
    sent = pod("sent")
    first = await http.made(pods, sent)
    sent["spec"]["containers"][0]["image"] = ""
    assert (await http.post(pods, {**sent, "metadata": {"name": "worse"}})).code == 422
    again = await http.made(pods, pod("again"))
    assert _without_names(again["spec"]) == _without_names(first["spec"])


async def test_a_role_that_goes_takes_the_right_to_make_pods_at_once(server: ApiServer, http: Http) -> None:
    pods = await space(http)
    group = "/apis/rbac.authorization.k8s.io/v1/namespaces/repeated"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    subjects = [{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}]
    reference = {"kind": "Role", "name": "maker", "apiGroup": "rbac.authorization.k8s.io"}
    await http.made(f"{group}/roles", {"metadata": {"name": "maker"}, "rules": rules})
    binding = {"metadata": {"name": "maker"}, "subjects": subjects, "roleRef": reference}
    await http.made(f"{group}/rolebindings", binding)

    async def asks(name: str) -> int:
        return (await http("POST", pods, pod(name), {"Impersonate-User": "alice"})).code

    assert [await asks(name) for name in ("a", "b")] == [201, 201]
    await http.delete(f"{group}/roles/maker")
    assert await asks("c") == 403
    await http.made(f"{group}/roles", {"metadata": {"name": "maker"}, "rules": rules})
    assert await asks("c") == 201
    await http.delete(f"{group}/rolebindings/maker")
    assert await asks("d") == 403


def _without_names(spec: Obj) -> Obj:
    """Without the names of the volumes, which are made up for each pod."""
    mounts = [
        [{**mount, "name": ""} for mount in each.get("volumeMounts") or ()] for each in spec["containers"]
    ]
    return {
        **spec,
        "containers": [
            {**each, "volumeMounts": own} for each, own in zip(spec["containers"], mounts, strict=True)
        ],
        "volumes": [{**volume, "name": ""} for volume in spec.get("volumes") or ()],
    }
