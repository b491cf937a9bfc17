"""Who owns a StatefulSet's claims, under each retention policy."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.statefulsets.identity import build, ordinal_of, split_name
from podium.control.statefulsets.retention import corrected, has_other_controller, is_right, is_stale

from .objects import stateful_set, template

OTHER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "x", "controller": True}


def owner(deleted: str = "Retain", scaled: str = "Retain") -> Obj:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    made = stateful_set(2, claims=("data",), persistentVolumeClaimRetentionPolicy=policy)
    made["metadata"]["uid"] = "set"
    return made


def pod(ordinal: int) -> Obj:
    made = build(owner(), template(), "revision", ordinal)
    made |= {"apiVersion": "v1", "kind": "Pod"}
    made["metadata"]["uid"] = f"pod-{ordinal}"
    return made


def claim(*references: Obj) -> Obj:
    return {"metadata": {"name": "data-web-0", "ownerReferences": list(references)}}


def owners(obj: Obj) -> list[str]:
    return [entry["uid"] for entry in obj["metadata"]["ownerReferences"]]


@pytest.mark.parametrize(
    ("deleted", "scaled", "kept", "condemned"),
    [
        ("Retain", "Retain", [], []),
        ("Delete", "Retain", ["set"], ["set"]),
        ("Retain", "Delete", [], ["pod-2"]),
        ("Delete", "Delete", ["set"], ["pod-2"]),
    ],
)
def test_claims_belong_to_whom_they_go_with(
    deleted: str, scaled: str, kept: list[str], condemned: list[str]
) -> None:
    for ordinal, wanted in ((1, kept), (2, condemned)):
        found = corrected(claim(), owner(deleted, scaled), pod(ordinal))
        assert owners(found) == wanted
        assert is_right(found, owner(deleted, scaled), pod(ordinal))
        assert is_right(claim(), owner(deleted, scaled), pod(ordinal)) == (not wanted)
        # A policy that is taken back takes its owners along.
        assert owners(corrected(found, owner(), pod(ordinal))) == []


def test_a_claim_that_something_else_manages_is_left_to_it() -> None:
    policy: dict[str, Any] = {"deleted": "Delete", "scaled": "Delete"}
    assert has_other_controller(claim(OTHER), owner(**policy), pod(1))
    assert is_right(claim(OTHER), owner(**policy), pod(1))
    both = claim(OTHER, *corrected(claim(), owner(**policy), pod(1))["metadata"]["ownerReferences"])
    assert not is_right(both, owner(**policy), pod(1))
    assert owners(corrected(both, owner(**policy), pod(1))) == ["x"]


def test_a_claim_of_an_earlier_pod_of_that_name_is_about_to_go() -> None:
    earlier = {"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "earlier"}
    assert is_stale(claim(earlier), pod(1))
    assert not is_stale(claim({**earlier, "uid": "pod-1"}), pod(1))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("web-0", ("web", 0)), ("a-b-12", ("a-b", 12)), ("web", ("", -1)), ("web-99999999999", ("", -1))],
)
def test_a_pods_name_says_whose_it_is_and_its_place(name: str, wanted: tuple[str, int]) -> None:
    made: Obj = {"metadata": {"name": name}}
    assert split_name(made) == wanted
    assert ordinal_of(made) == wanted[1]
