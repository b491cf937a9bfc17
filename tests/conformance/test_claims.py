"""Claims: how they find volumes, what keeps and what deletes them, how they grow, and what is told when they
cannot be served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import Obj, pod, sh
from tests.conformance.waiting import eventually

WRITES = "echo kept > /data/file; sync; exec sleep 3600"


def claim(name: str, size: str = "32Mi", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }


def volume(name: str, size: str = "1Gi", labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    """A volume made by hand, whose data nobody looks at."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": size},
            "hostPath": {"path": "/tmp"},
            **spec,
        },
    }


def storage_class(name: str, **fields: Any) -> Obj:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "local.podium.io",
        **fields,
    }


def user(name: str, claim_name: str, script: str = WRITES, **spec: Any) -> Obj:
    mounted = sh(script, volumeMounts=[{"name": "data", "mountPath": "/data"}])
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    return pod(name, mounted, volumes=volumes, terminationGracePeriodSeconds=0, **spec)


def bound(kubectl: Kubectl, name: str) -> Obj:
    kubectl.wait(f"pvc/{name}", "jsonpath={.status.phase}=Bound")
    found: Obj = kubectl.get(f"pvc/{name}")
    return found


def message_of(kubectl: Kubectl, name: str, reason: str) -> str:
    """The message of an event about a claim, once there is one of this reason."""
    found = eventually(
        lambda: kubectl.get("events", f"--field-selector=involvedObject.name={name},reason={reason}")[
            "items"
        ],
        bool,
    )
    return str(found[0]["message"])


@pytest.fixture
def own(kubectl: Kubectl) -> Iterator[str]:
    """A name for what belongs to no namespace; volumes and classes of it go with the test."""
    yield kubectl.namespace
    for kind in ("pv", "storageclass"):
        kubectl("delete", kind, "-l", f"test={kubectl.namespace}", "--wait=false")


# --- the built-in class


def test_a_claim_waits_for_its_consumer_and_goes_with_its_data(kubectl: Kubectl) -> None:
    kubectl.apply(claim("data"))
    assert message_of(kubectl, "data", "WaitForFirstConsumer") == (
        "waiting for first consumer to be created before binding"
    )
    kubectl.apply(user("writer", "data"))
    kubectl.wait("pod/writer", "condition=Ready")
    found = bound(kubectl, "data")
    name = found["spec"]["volumeName"]
    assert name == f"pvc-{found['metadata']['uid']}"
    made = kubectl.get(f"pv/{name}")
    assert made["spec"]["csi"]["driver"] == "local.podium.io"
    assert made["status"]["phase"] == "Bound"
    assert made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0][
        "values"
    ] == [kubectl.get("pod/writer")["spec"]["nodeName"]]
    kubectl("delete", "pod/writer")
    kubectl.apply(user("reader", "data", "cat /data/file; exec sleep 3600"))
    kubectl.wait("pod/reader", "condition=Ready")
    assert kubectl("logs", "reader") == "kept\n"
    kubectl("delete", "pod/reader")
    kubectl("delete", "pvc/data")
    kubectl.wait(f"pv/{name}", "delete")


def test_a_claim_in_use_stays_until_its_last_pod_has_gone(kubectl: Kubectl) -> None:
    kubectl.apply(claim("data"), user("web", "data"))
    kubectl.wait("pod/web", "condition=Ready")
    name = bound(kubectl, "data")["spec"]["volumeName"]
    kubectl("delete", "pvc/data", "--wait=false")
    kubectl("delete", f"pv/{name}", "--wait=false")
    assert "Terminating" in kubectl("get", "pvc/data")
    assert "Terminating" in kubectl("get", f"pv/{name}")
    assert kubectl("exec", "web", "--", "cat", "/data/file") == "kept\n"
    kubectl("delete", "pod/web")
    kubectl.wait("pvc/data", "delete")
    kubectl.wait(f"pv/{name}", "delete")


def test_a_claim_grows_under_a_running_pod_and_recovers_from_asking_too_much(kubectl: Kubectl) -> None:
    kubectl.apply(claim("data"), user("web", "data"))
    kubectl.wait("pod/web", "condition=Ready")

    def ask(size: str) -> tuple[str, ...]:
        patch = {"spec": {"resources": {"requests": {"storage": size}}}}
        return ("patch", "pvc/data", "-p", json.dumps(patch))

    def kilobytes() -> int:
        return int(kubectl("exec", "web", "--", "df", "-k", "/data").split("\n")[1].split()[1])

    before = kilobytes()
    kubectl(*ask("64Mi"))
    kubectl.wait("pvc/data", "jsonpath={.status.capacity.storage}=64Mi")
    assert kilobytes() > before + 20_000
    kubectl(*ask("500Ti"))
    kubectl.wait(
        "pvc/data", "jsonpath={.status.allocatedResourceStatuses.storage}=ControllerResizeInfeasible"
    )
    assert "field can not be less than status.capacity" in kubectl.refused(*ask("32Mi"))
    kubectl(*ask("96Mi"))
    kubectl.wait("pvc/data", "jsonpath={.status.capacity.storage}=96Mi")
    status = kubectl.get("pvc/data")["status"]
    assert "allocatedResourceStatuses" not in status
    assert not status.get("conditions")
    assert kubectl("exec", "web", "--", "cat", "/data/file") == "kept\n"


def test_an_immediate_class_needs_no_consumer(kubectl: Kubectl, own: str) -> None:
    made = storage_class(own)
    made["metadata"]["labels"] = {"test": own}
    kubectl.apply(made, claim("data", storageClassName=own))
    bound(kubectl, "data")
    more = {"spec": {"resources": {"requests": {"storage": "64Mi"}}}}
    assert "only dynamically provisioned pvc can be resized" in kubectl.refused(
        "patch", "pvc/data", "-p", json.dumps(more)
    )


def test_an_ephemeral_claim_goes_with_its_pod(kubectl: Kubectl) -> None:
    template = {"spec": claim("any")["spec"]}
    mounted = sh(WRITES, volumeMounts=[{"name": "scratch", "mountPath": "/data"}])
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    kubectl.apply(pod("web", mounted, volumes=volumes, terminationGracePeriodSeconds=0))
    kubectl.wait("pod/web", "condition=Ready")
    name = bound(kubectl, "web-scratch")["spec"]["volumeName"]
    kubectl("delete", "pod/web")
    kubectl.wait("pvc/web-scratch", "delete")
    kubectl.wait(f"pv/{name}", "delete")


# --- by hand


def test_claims_take_the_smallest_volume_that_fits_and_what_is_left_waits(kubectl: Kubectl, own: str) -> None:
    labels = {"test": own}
    for size in ("3Gi", "1Gi", "2Gi"):
        kubectl.apply(volume(f"{own}-{size.lower()}", size, labels, storageClassName=own))
    names = [f"c{number}" for number in range(4)]
    kubectl.apply(*(claim(name, "1100Mi", storageClassName=own) for name in names))
    found = eventually(
        lambda: kubectl.get("pvc")["items"],
        lambda seen: sum(entry["status"]["phase"] == "Bound" for entry in seen) == 2,
    )
    taken = {entry["spec"].get("volumeName") for entry in found}
    assert taken == {f"{own}-2gi", f"{own}-3gi", None}
    left = next(entry["metadata"]["name"] for entry in found if "volumeName" not in entry["spec"])
    assert message_of(kubectl, left, "ProvisioningFailed") == f'storageclass.storage.k8s.io "{own}" not found'


def test_selectors_reservations_and_mismatches_decide_who_gets_what(kubectl: Kubectl, own: str) -> None:
    reference = {"namespace": kubectl.namespace, "name": "mine"}
    kubectl.apply(
        volume(f"{own}-gold", labels={"test": own, "tier": f"gold-{own}"}, storageClassName=""),
        volume(f"{own}-kept", labels={"test": own}, storageClassName="", claimRef=reference),
        claim("chosen", storageClassName="", selector={"matchLabels": {"tier": f"gold-{own}"}}),
        claim("named", "9Gi", storageClassName="", volumeName=f"{own}-kept"),
    )
    assert bound(kubectl, "chosen")["spec"]["volumeName"] == f"{own}-gold"
    assert message_of(kubectl, "named", "FailedBinding") == (
        f'volume "{own}-kept" already bound to a different claim.'
    )
    kubectl.apply(claim("mine", storageClassName=""))
    assert bound(kubectl, "mine")["spec"]["volumeName"] == f"{own}-kept"


def test_a_retained_volume_is_released_and_serves_again_when_it_is_freed(kubectl: Kubectl, own: str) -> None:
    kubectl.apply(
        volume(own, labels={"test": own}, storageClassName=own), claim("first", storageClassName=own)
    )
    bound(kubectl, "first")
    kubectl("delete", "pvc/first")
    kubectl.wait(f"pv/{own}", "jsonpath={.status.phase}=Released")
    kubectl("patch", f"pv/{own}", "--type=merge", "-p", '{"spec":{"claimRef":null}}')
    kubectl.wait(f"pv/{own}", "jsonpath={.status.phase}=Available")
    kubectl.apply(claim("second", storageClassName=own))
    assert bound(kubectl, "second")["spec"]["volumeName"] == own


def test_a_retained_volume_that_is_freed_keeps_its_data_until_it_is_deleted(
    kubectl: Kubectl, own: str
) -> None:
    made = storage_class(own, reclaimPolicy="Retain")
    made["metadata"]["labels"] = {"test": own}
    kubectl.apply(made, claim("data", storageClassName=own))
    name = bound(kubectl, "data")["spec"]["volumeName"]
    kubectl("delete", "pvc/data")
    kubectl.wait(f"pv/{name}", "jsonpath={.status.phase}=Released")
    freed = {"spec": {"claimRef": None, "persistentVolumeReclaimPolicy": "Delete"}}
    kubectl("patch", f"pv/{name}", "--type=merge", "-p", json.dumps(freed))
    kubectl.wait(f"pv/{name}", "jsonpath={.status.phase}=Available")
    kubectl("delete", f"pv/{name}", "--timeout=60s")


def test_a_volume_to_be_recycled_fails_and_says_why(kubectl: Kubectl, own: str) -> None:
    made = volume(own, labels={"test": own}, storageClassName=own, persistentVolumeReclaimPolicy="Recycle")
    warned = kubectl.run("apply", "-f", "-", stdin=json.dumps(made)).err
    assert "The Recycle reclaim policy is deprecated" in warned
    kubectl.apply(claim("data", storageClassName=own))
    bound(kubectl, "data")
    kubectl("delete", "pvc/data")
    kubectl.wait(f"pv/{own}", "jsonpath={.status.phase}=Failed")
    assert kubectl.get(f"pv/{own}")["status"]["message"] == "No recycler plugin found for the volume!"


def test_a_claim_whose_volume_was_torn_away_is_lost(kubectl: Kubectl, own: str) -> None:
    kubectl.apply(
        volume(own, labels={"test": own}, storageClassName=own), claim("data", storageClassName=own)
    )
    bound(kubectl, "data")
    kubectl("delete", f"pv/{own}", "--wait=false")
    kubectl("patch", f"pv/{own}", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl.wait("pvc/data", "jsonpath={.status.phase}=Lost")
    assert message_of(kubectl, "data", "ClaimLost") == (
        "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    )


# --- bad input


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (claim("c", "0"), 'spec.resources[storage]: Invalid value: "0": must be greater than zero'),
        (claim("c", "-1Gi"), "must be greater than zero"),
        (claim("c", accessModes=[]), "spec.accessModes: Required value: at least 1 access mode is required"),
        (
            claim("c", accessModes=["ReadWriteOncePod", "ReadWriteOnce"]),
            "may not use ReadWriteOncePod with other access modes",
        ),
        (volume("bad", hostPath=None, local={"path": "/x"}), "Local volume requires node affinity"),
        (volume("bad", nfs={"server": "s", "path": "/"}), "may not specify more than 1 volume type"),
        (volume("bad", capacity={}), "spec.capacity: Required value"),
    ],
    ids=["none", "negative", "no-modes", "pod-and-more", "local", "two-kinds", "no-size"],
)
def test_what_makes_no_sense_is_refused(kubectl: Kubectl, obj: Obj, message: str) -> None:
    assert message in kubectl.refused("create", "-f", "-", stdin=json.dumps(obj))


def test_a_claim_changes_in_nothing_but_its_size(kubectl: Kubectl, own: str) -> None:
    kubectl.apply(
        volume(own, labels={"test": own}, storageClassName=own), claim("data", storageClassName=own)
    )
    bound(kubectl, "data")
    said = kubectl.refused("patch", "pvc/data", "-p", '{"spec":{"accessModes":["ReadWriteMany"]}}')
    assert "spec is immutable after creation except resources.requests and volumeAttributesClassName" in said
    said = kubectl.refused("patch", f"pv/{own}", "-p", '{"spec":{"hostPath":{"path":"/else"}}}')
    assert "spec.persistentvolumesource is immutable after creation" in said


@covers(
    "[sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status [Conformance]",
    "[sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC [Conformance]",
)
def test_the_status_of_a_claim_and_of_a_volume_is_changed_by_itself(kubectl: Kubectl, own: str) -> None:
    kubectl.apply(
        volume(own, labels={"test": own}, storageClassName=own), claim("data", storageClassName=own)
    )
    bound(kubectl, "data")
    condition = {"type": "StatusPatched", "status": "True", "reason": "test", "message": "from a test"}
    for what, status in (
        ("pvc/data", {"conditions": [condition]}),
        (f"pv/{own}", {"message": "StatusPatched", "reason": "test"}),
    ):
        patch = json.dumps({"status": status})
        kubectl("patch", what, "--subresource=status", "--type=merge", "-p", patch)
        found = kubectl.get(what)["status"]
        assert found["phase"] == "Bound"
        assert found.keys() >= status.keys()
    kubectl("label", "pvc/data", f"pv/{own}", "patched=yes")
    kubectl("delete", "pvc/data")
    kubectl("delete", f"pv/{own}")
