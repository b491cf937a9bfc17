"""Specs that come by again: what is remembered of them, and what is looked at each time."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from podium.api.groups.core import pod_facts
from podium.api.schema import Definitions
from podium.api.types import Obj
from podium.api.types.resources import PODS
from tests.unit.api.groups.build import container, created, faults, pod, strategy
from tests.unit.api.groups.test_pod_validation import FAULTS
from tests.unit.frozen import freeze

TOKEN = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}


def with_token(volume: str, mounted: str, **more: Any) -> Obj:
    mounts = [{"name": mounted, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]
    return pod(
        serviceAccountName="default",
        volumes=[{"name": volume, "projected": {"sources": [TOKEN]}}],
        containers=[container(volumeMounts=mounts, **more)],
    )


def named(given: Obj, name: str, **annotations: str) -> Obj:
    return {**given, "metadata": {**given["metadata"], "name": name, "annotations": annotations}}


@pytest.mark.parametrize(("bad", "expected"), FAULTS)
def test_a_spec_with_faults_has_them_each_time(bad: Obj, expected: list[str]) -> None:
    first = faults(PODS, bad)
    assert faults(PODS, bad) == first
    assert [text for text in expected if text in first] == expected


def test_what_is_known_of_a_spec_is_not_known_of_one_that_differs_in_a_byte() -> None:
    fine = pod(containers=[container(args=["remembered"])])
    assert faults(PODS, fine) == faults(PODS, fine) == []
    assert pod_facts.of(created(PODS, fine)["spec"]).valid
    for key, value in (("image", " "), ("name", "Main"), ("imagePullPolicy", "Sometimes")):
        worse = copy.deepcopy(fine)
        worse["spec"]["containers"][0][key] = value
        assert faults(PODS, worse)


def test_a_spec_that_changes_under_way_is_another_one() -> None:
    made = created(PODS, pod(containers=[container(args=["changing"])]))
    assert strategy(PODS).validate_create(made) == []
    made["spec"]["containers"][0]["image"] = ""
    assert strategy(PODS).validate_create(made)


def test_what_follows_from_the_pods_name_is_found_in_each_pod() -> None:
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    spec = pod(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": claim}}])
    assert faults(PODS, named(spec, "web")) == []
    assert any("PVC name" in fault for fault in faults(PODS, named(spec, "w" * 250)))


def test_what_follows_from_the_annotations_is_found_in_each_pod() -> None:
    claims = pod(resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}], nodeName="n")
    assert faults(PODS, named(claims, "web")) == []
    mirror = {"kubernetes.io/config.mirror": "x"}
    assert any("static pods" in fault for fault in faults(PODS, named(claims, "web", **mirror)))
    plain = pod()
    assert faults(PODS, named(plain, "web")) == []
    assert faults(PODS, named(plain, "web", **{"controller.kubernetes.io/pod-deletion-cost": "x"}))


def test_pods_of_one_template_have_the_same_spec_but_for_the_name_of_their_token_volume() -> None:
    one, other = (created(PODS, with_token(f"kube-api-access-{end}", f"kube-api-access-{end}"))
                  for end in ("bcdfg", "hjklm"))  # fmt: skip
    assert strategy(PODS).validate_create(one) == []
    assert pod_facts.of(other["spec"]) is pod_facts.of(one["spec"])
    assert pod_facts.of(other["spec"]).valid


@pytest.mark.parametrize(
    "bad",
    [
        with_token("kube-api-access-hjklm", "kube-api-access-bcdfg"),
        with_token("kube-api-access-", "kube-api-access-"),
        with_token("kube-api-access-hjklm", "\0"),
        with_token("\0", "\0"),
        with_token("kube-api-access-hjklm", "kube-api-access-hjklm", env=[{"name": ""}]),
    ],
)
def test_no_other_name_passes_for_that_of_a_token_volume(bad: Obj) -> None:
    assert faults(PODS, with_token("kube-api-access-bcdfg", "kube-api-access-bcdfg")) == []
    assert faults(PODS, bad)


def test_a_harmless_spec_does_not_hide_what_the_annotations_warn_of() -> None:
    pods = strategy(PODS)
    made = created(PODS, pod(containers=[container(args=["harmless"])]))
    assert pods.warnings(made) == pods.warnings(made) == []
    noted = named(made, "web", **{"scheduler.alpha.kubernetes.io/critical-pod": ""})
    assert len(pods.warnings(noted)) == len(pods.warnings(noted)) == 1
    warned = created(PODS, pod(nodeSelector={"beta.kubernetes.io/os": "linux"}))
    assert pods.warnings(warned) == pods.warnings(warned) != []


def test_what_is_read_only_is_judged_too() -> None:
    made = freeze(created(PODS, pod()))
    assert strategy(PODS).validate_create(made) == []
    assert pod_facts.of(made["spec"]).qos == "BestEffort"


def test_a_spec_is_fitted_again_after_one_that_fits() -> None:
    schema = Definitions.load().schema("", "v1", "Pod")
    fine = pod(containers=[container(resources={"limits": {"cpu": "1"}})])
    for _ in range(2):
        assert schema.fit(copy.deepcopy(fine)) == []
    for _ in range(2):
        other = copy.deepcopy(fine)
        other["spec"]["containers"][0] |= {"colour": "red", "resources": {"limits": {"cpu": "1000m"}}}
        assert schema.fit(other) == ['unknown field "spec.containers[0].colour"']
        assert other["spec"] == fine["spec"]


def test_what_only_looks_like_json_when_it_is_written_is_no_json() -> None:
    from datetime import datetime

    schema = Definitions.load().schema("", "v1", "Pod")
    moment = datetime(2026, 1, 2)
    fine = pod(containers=[container(args=[orjson.loads(orjson.dumps(moment))])])
    for _ in range(2):
        assert schema.fit(copy.deepcopy(fine)) == []
    bad = copy.deepcopy(fine)
    bad["spec"]["containers"][0]["args"] = [moment]
    with pytest.raises((ValueError, KeyError)):
        schema.fit(bad)
