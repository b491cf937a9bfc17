from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.resources import DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from podium.control.endpoints.slices import MANAGED_BY, SERVICE_NAME

from .cluster import TestCluster
from .objects import deployment, pod, service


def endpoints(slices: list[Obj]) -> list[Obj]:
    return [endpoint for entry in slices for endpoint in entry.get("endpoints") or ()]


def ready(slices: list[Obj]) -> int:
    return sum(endpoint["conditions"]["ready"] for endpoint in endpoints(slices))


async def test_a_services_slices_and_endpoints_follow_its_ready_pods(cluster: TestCluster) -> None:
    await cluster.client.create(SERVICES, service())
    await cluster.client.create(DEPLOYMENTS, deployment(3))
    (entry,) = await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 3)
    assert entry["metadata"]["labels"] == {
        "tier": "front",
        SERVICE_NAME: "web",
        MANAGED_BY: "endpointslice-controller.k8s.io",
    }
    assert entry["metadata"]["ownerReferences"][0]["kind"] == "Service"
    assert entry["addressType"] == "IPv4"
    assert [(port["name"], port["port"], port["protocol"]) for port in entry["ports"]] == [("", 8080, "TCP")]
    assert {endpoint["zone"] for endpoint in entry["endpoints"]} <= {"zone-1", "zone-2"}
    found = await cluster.one(
        ENDPOINTS, "web", lambda obj: len((obj.get("subsets") or [{}])[0].get("addresses", ())) == 3
    )
    assert found["metadata"]["labels"]["tier"] == "front"
    (subset,) = found["subsets"]
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]
    first = (await cluster.client.list(PODS, "test")).items[0]
    await cluster.kubelet.report(first, ready=False)
    (again,) = await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 2)
    assert again["metadata"]["name"] == entry["metadata"]["name"]
    assert len(again["endpoints"]) == 3
    found = await cluster.one(ENDPOINTS, "web", lambda obj: "notReadyAddresses" in obj["subsets"][0])
    assert found["subsets"][0]["notReadyAddresses"][0]["targetRef"]["name"] == first["metadata"]["name"]


async def test_a_service_that_selects_nothing_has_one_empty_slice_that_is_filled_later(
    cluster: TestCluster,
) -> None:
    await cluster.client.create(SERVICES, service())
    (empty,) = await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 1)
    assert not empty.get("endpoints")
    await cluster.one(ENDPOINTS, "web", lambda obj: not obj.get("subsets"))
    await cluster.client.create(PODS, pod("web"))
    (entry,) = await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 1)
    assert entry["metadata"]["uid"] == empty["metadata"]["uid"]


async def test_a_terminating_pod_serves_on_but_is_no_longer_ready(cluster: TestCluster) -> None:
    await cluster.client.create(SERVICES, service())
    await cluster.client.create(PODS, pod("web"))
    await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 1)
    cluster.kubelet.hold = True
    await cluster.client.delete(PODS, "web", "test")
    slices = await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 0)
    (endpoint,) = endpoints(slices)
    assert endpoint["conditions"] == {"ready": False, "serving": True, "terminating": True}
    cluster.kubelet.release()
    await cluster.until(ENDPOINT_SLICES, lambda found: not endpoints(found))


async def test_a_service_without_selector_keeps_what_its_owner_wrote(cluster: TestCluster) -> None:
    manual = service("manual")
    del manual["spec"]["selector"]
    await cluster.client.create(SERVICES, manual)
    subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80, "protocol": "TCP"}]}]
    meta = {"name": "manual", "namespace": "test"}
    await cluster.client.create(ENDPOINTS, {"metadata": meta, "subsets": subsets})
    await cluster.client.create(SERVICES, service())
    # One that mirrors what the owner wrote, one of the Service with a selector.
    await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 2)
    kept = await cluster.client.get(ENDPOINTS, "manual", "test")
    assert kept["subsets"][0]["addresses"] == [{"ip": "192.0.2.1"}]


async def test_what_a_deleted_service_had_goes_with_it(cluster: TestCluster) -> None:
    await cluster.client.create(SERVICES, service())
    await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 1)
    await cluster.until(ENDPOINTS, lambda found: len(found) == 1)
    await cluster.client.delete(SERVICES, "web", "test")
    await cluster.until(ENDPOINT_SLICES, lambda found: not found)
    await cluster.until(ENDPOINTS, lambda found: not found)


async def test_a_slice_that_somebody_deletes_or_changes_is_put_right(cluster: TestCluster) -> None:
    await cluster.client.create(SERVICES, service())
    await cluster.client.create(PODS, pod("web"))
    (entry,) = await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 1)
    await cluster.client.patch(ENDPOINT_SLICES, entry["metadata"]["name"], {"endpoints": []}, "test")
    await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 1)
    await cluster.client.delete(ENDPOINT_SLICES, entry["metadata"]["name"], "test")
    (again,) = await cluster.until(
        ENDPOINT_SLICES,
        lambda found: ready(found) == 1 and found[0]["metadata"]["uid"] != entry["metadata"]["uid"],
    )
    assert again["metadata"]["labels"] == entry["metadata"]["labels"]


async def test_a_headless_service_is_marked_so(cluster: TestCluster) -> None:
    await cluster.client.create(SERVICES, service(clusterIP="None", ports=[]))
    await cluster.client.create(PODS, pod("web", hostname="web-0", subdomain="web"))
    (entry,) = await cluster.until(ENDPOINT_SLICES, lambda found: ready(found) == 1)
    assert entry["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert entry["endpoints"][0]["hostname"] == "web-0"
    assert not entry.get("ports")
    found = await cluster.one(ENDPOINTS, "web", lambda obj: bool(obj.get("subsets")))
    assert found["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


MIRRORED = "endpointslicemirroring-controller.k8s.io"


def mirrors(slices: list[Obj]) -> list[Obj]:
    return [entry for entry in slices if entry["metadata"]["labels"].get(MANAGED_BY) == MIRRORED]


def by_hand(*addresses: str, **labels: str) -> Obj:
    subset = {"addresses": [{"ip": ip} for ip in addresses], "ports": [{"name": "http", "port": 80}]}
    meta = {"name": "manual", "namespace": "test", "labels": labels}
    return {"metadata": meta, "subsets": [subset] if addresses else []}


async def test_endpoints_written_by_hand_are_mirrored_until_they_go(cluster: TestCluster) -> None:
    manual = service("manual")
    del manual["spec"]["selector"]
    await cluster.client.create(ENDPOINTS, by_hand("192.0.2.1", "2001:db8::1", tier="back"))
    await cluster.client.create(SERVICES, manual)
    found = await cluster.until(ENDPOINT_SLICES, lambda found: len(mirrors(found)) == 2)
    four, six = sorted(found, key=lambda entry: str(entry["addressType"]))
    assert four["endpoints"] == [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}]
    assert six["endpoints"][0]["addresses"] == ["2001:db8::1"]
    assert four["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert four["metadata"]["labels"] == {"tier": "back", SERVICE_NAME: "manual", MANAGED_BY: MIRRORED}
    assert four["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
    await cluster.client.patch(
        ENDPOINTS, "manual", {"subsets": by_hand("192.0.2.1", "192.0.2.9")["subsets"]}, "test"
    )
    (again,) = await cluster.until(
        ENDPOINT_SLICES, lambda found: len(found) == 1 and len(endpoints(mirrors(found))) == 2
    )
    assert again["metadata"]["uid"] == four["metadata"]["uid"]
    await cluster.client.delete(ENDPOINTS, "manual", "test")
    await cluster.until(ENDPOINT_SLICES, lambda found: not found)


async def test_a_mirror_goes_when_its_service_selects_pods(cluster: TestCluster) -> None:
    manual = service("manual")
    del manual["spec"]["selector"]
    await cluster.client.create(SERVICES, manual)
    await cluster.client.create(ENDPOINTS, by_hand("192.0.2.1"))
    await cluster.until(ENDPOINT_SLICES, lambda found: len(mirrors(found)) == 1)
    await cluster.client.patch(SERVICES, "manual", {"spec": {"selector": {"app": "web"}}}, "test")
    await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 1 and not mirrors(found))


async def test_endpoints_that_ask_for_it_are_not_mirrored(cluster: TestCluster) -> None:
    manual = service("manual")
    del manual["spec"]["selector"]
    skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    await cluster.client.create(SERVICES, manual)
    await cluster.client.create(ENDPOINTS, by_hand("192.0.2.1", **skip))
    await cluster.client.create(SERVICES, service())
    found = await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 1)
    assert not mirrors(found)
