"""Which plugins a request goes through: leaving one out must not change what comes of it."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest

from podium.api.admission.chain import MUTATES, OPERATIONS, VALIDATES, plugins
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj
from podium.api.types.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    INGRESSES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
)

OWN = {plugin.name: plugin for plugin in plugins()}
RESOURCES = (PODS, NODES, PERSISTENT_VOLUME_CLAIMS, INGRESSES, CERTIFICATE_SIGNING_REQUESTS)
LEFT_OUT = [
    (name, operation)
    for name, looked_at in OPERATIONS.items()
    for operation in ("CREATE", "UPDATE", "DELETE")
    if operation not in looked_at
]


def nothing(*_: Any) -> Any:
    return None


def empty(*_: Any) -> list[Obj]:
    return []


def test_the_tables_name_plugins_that_there_are() -> None:
    assert OPERATIONS.keys() <= OWN.keys()
    guards = {"NodeRestriction", "OwnerReferencesPermissionEnforcement", "RBACEscalation",
              "CertificateApproval", "CertificateSigning"}  # fmt: skip
    assert MUTATES.keys() | VALIDATES.keys() <= OWN.keys() | guards


@pytest.mark.parametrize(("name", "operation"), LEFT_OUT)
async def test_a_plugin_does_nothing_in_an_operation_that_it_is_not_asked_in(
    name: str, operation: str
) -> None:
    cluster = Cluster(nothing, empty)
    for resource, subresource in product(RESOURCES, ("", "status", "resize")):
        obj: Obj = {"metadata": {"name": "a", "namespace": "n"}, "spec": {"nodeName": "n", "priority": 3}}
        new = None if operation == "DELETE" else copy.deepcopy(obj)
        old = None if operation == "CREATE" else obj
        request = AdmissionRequest(operation, resource, subresource, "n", "a", new, old)
        await OWN[name].mutate(request, cluster)
        await OWN[name].validate(request, cluster)
        assert request.obj in (None, obj)
        assert not request.warnings
        assert not request.annotations
