"""Profiles from a KubeSchedulerConfiguration, and what they change."""

from __future__ import annotations

import pytest

from podium.control.scheduler import ConfigError, read_config
from podium.control.scheduler.decide import Decider, Decision, enough
from podium.control.scheduler.profiles import Profile

from .build import decide, needs, node, picture, place

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def profile(body: str) -> Profile:
    config = read_config(HEAD + "profiles:\n- schedulerName: mine\n" + body)
    return config.profiles["mine"]


def test_without_profiles_there_is_the_default_one() -> None:
    assert read_config(HEAD).profiles == {"default-scheduler": Profile()}


def test_packing_fills_the_fuller_node() -> None:
    packing = profile("""
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
""")
    nodes = picture(node("a"), node("b"))
    place(nodes, "x", "b", requests={"cpu": "1"})
    assert decide(needs(requests={"cpu": "1"}), nodes) == "a"
    assert decide(needs(requests={"cpu": "1"}), nodes, packing) == "b"


def test_a_shape_says_how_full_is_best() -> None:
    shaped = profile("""
  plugins: {multiPoint: {disabled: [{name: NodeResourcesBalancedAllocation}]}}
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: RequestedToCapacityRatio
        resources: [{name: example.com/gpu, weight: 3}]
        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}
""")
    extra = {"extra": {"example.com/gpu": "4"}}
    nodes = picture(node("a", **extra), node("b", **extra))
    place(nodes, "x", "b", requests={"example.com/gpu": "1"})
    assert decide(needs(requests={"example.com/gpu": "1"}), nodes, shaped) == "b"


def test_a_filter_can_be_taken_out() -> None:
    blind = profile("  plugins: {filter: {disabled: [{name: TaintToleration}]}}\n")
    nodes = picture(node("a", taints=[{"key": "k", "effect": "NoSchedule"}]))
    assert decide(needs(), nodes, blind) == "a"


def test_all_scores_can_be_replaced_by_one() -> None:
    only = profile("""
  plugins:
    score: {disabled: [{name: "*"}], enabled: [{name: ImageLocality, weight: 5}]}
    postFilter: {disabled: [{name: DefaultPreemption}]}
""")
    assert only.scores == {"ImageLocality": 5}
    assert not only.preempts
    nodes = picture(node("a"), node("b"))
    image = {"names": ["example.com/app:v1"], "sizeBytes": 900 * 1024 * 1024}
    made = node("b")
    made["status"]["images"] = [image]
    nodes.set_node(made)
    wanted = needs(containers=[{"name": "c", "image": "example.com/app:v1"}])
    assert decide(wanted, nodes, only) == "b"


def test_ignored_resources_and_added_affinity() -> None:
    lenient = profile("""
  pluginConfig:
  - name: NodeResourcesFit
    args: {ignoredResourceGroups: [example.com]}
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [mine]}]}]
""")
    nodes = picture(node("a"), node("b", labels={"pool": "mine"}))
    assert decide(needs(requests={"example.com/gpu": "1"}), nodes, lenient) == "b"


def test_scores_are_taken_of_a_part_of_many_nodes_and_the_next_search_goes_on_from_there() -> None:
    assert [enough(count, Profile()) for count in (50, 100, 1000, 5000, 10000)] == [50, 100, 420, 500, 500]
    assert enough(1000, Profile(percentage=80)) == 800
    nodes = picture(*(node(f"n{number:03}") for number in range(250)))
    decider = Decider(nodes)
    found = [decider.decide(needs(f"p{number}")) for number in range(3)]
    assert [entry.node for entry in found if isinstance(entry, Decision)] == ["n000", "n120", "n240"]


BAD = {
    "foo: [": "not YAML",
    "kind: Pod": "must be a KubeSchedulerConfiguration",
    HEAD + "extenders: [{urlPrefix: 'http://x'}]": "extenders: is not supported",
    HEAD + "percentageOfNodesToScore: 101": "percentageOfNodesToScore: Invalid value: 101",
    HEAD + "podInitialBackoffSeconds: 20": "podMaxBackoffSeconds: Invalid value: 10",
    HEAD + "profiles: [{schedulerName: a}, {schedulerName: a}]": 'Duplicate value: "a"',
    HEAD + "profiles: [{schedulerName: a}, {}]": "profiles[1].schedulerName: Required value",
    HEAD + "profiles: [{plugins: {score: {enabled: [{name: Nope}]}}}]": "there is no such plugin",
    HEAD + "profiles: [{plugins: {sometime: {}}}]": "is no extension point",
    HEAD + "profiles: 7": "does not have the form",
    HEAD
    + "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1}]}}]}]": (
        "when .defaultConstraints are not empty"
    ),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_refused_with_the_place_and_the_reason(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(text)
    assert BAD[text] in str(caught.value)
