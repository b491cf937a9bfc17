"""Fields of features that are off by default."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.groups.core import pod_defaults
from podium.api.strategy import registry
from podium.api.types import Obj
from podium.api.types.resources import LEASES, NODES, Resource


def strategy(resource: Resource) -> Any:
    return next(each for each in registry().values() if each.resource == resource)


def test_sources_of_volumes_that_are_off_are_dropped() -> None:
    kept: Obj = {"serviceAccountToken": {"path": "t", "expirationSeconds": 600}}
    sources = [{"clusterTrustBundle": {"path": "a"}}, {"podCertificate": {"keyType": "x"}}, kept]
    pod: Obj = {"schedulingGroup": {"podGroupName": "g"}, "containers": [], "volumes": []}
    pod["volumes"] = [{"name": "v", "projected": {"sources": copy.deepcopy(sources)}}]
    pod_defaults.spec(pod)
    assert pod["volumes"][0]["projected"]["sources"] == [{}, {}, kept]
    assert "schedulingGroup" not in pod


def test_what_is_off_is_dropped_unless_it_was_there() -> None:
    leases = strategy(LEASES)
    new: Obj = {"metadata": {}, "spec": {"strategy": "OldestEmulationVersion", "holderIdentity": "a"}}
    with_it, without = copy.deepcopy(new), {"metadata": {}, "spec": {"holderIdentity": "a"}}
    leases.prepare_create(new)
    assert new["spec"] == {"holderIdentity": "a"}
    changed = copy.deepcopy(with_it)
    leases.prepare_update(changed, without)
    assert changed["spec"] == {"holderIdentity": "a"}
    changed = copy.deepcopy(with_it)
    leases.prepare_update(changed, with_it)
    assert changed["spec"] == with_it["spec"]
    leases.prepare_create({"metadata": {}})


GOOD = {"namespace": "kube-system", "name": "config", "kubeletConfigKey": "kubelet"}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"configMap": GOOD}, ""),
        ({}, "spec.configSource: exactly one reference subfield must be non-nil"),
        ({"configMap": {**GOOD, "uid": "x"}}, "spec.configSource.configMap.uid: uid must not be set in spec"),
        ({"configMap": {**GOOD, "name": ""}}, "spec.configSource.configMap.name: Required value"),
        ({"configMap": {**GOOD, "kubeletConfigKey": ".."}}, "spec.configSource.configMap.kubeletConfigKey: "),
    ],
)
def test_where_a_node_has_its_configuration_from(source: Obj, fault: str) -> None:
    old: Obj = {"metadata": {"name": "n"}, "spec": {}, "status": {}}
    new = {**old, "spec": {"configSource": source}}
    found = [f"{cause.field}: {cause.message}" for cause in strategy(NODES).check_update(new, old)]
    assert bool(found) is bool(fault)
    if fault:
        field, _, why = fault.partition(": ")
        assert found[0].startswith(f"{field}: ")
        assert why in found[0]
