"""A KubeSchedulerConfiguration file as profiles.

Source: KubeSchedulerConfiguration v1 (kubescheduler.config.k8s.io) and "Scheduler Configuration" in the
Kubernetes documentation. What is about the scheduler's own process (leader election, client connection,
parallelism, profiling) is accepted and has no meaning here, since the scheduler lives in the server's
process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import yaml

from podium.api.types import Obj, affinity
from podium.api.types.selectors import NOTHING
from podium.control.scheduler.needs import DEFAULT_SCHEDULER
from podium.control.scheduler.profiles import (
    FILTERS,
    OTHERS,
    PREEMPTION,
    SCORES,
    SYSTEM_SPREAD,
    Fit,
    Profile,
    Resources,
    SchedulerConfig,
    Strategy,
)
from podium.control.scheduler.terms import Spread

GROUP, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
_KNOWN = frozenset((*FILTERS, *SCORES, *OTHERS))
_POINTS = frozenset(
    [
        "preEnqueue",
        "queueSort",
        "preFilter",
        "filter",
        "postFilter",
        "preScore",
        "score",
        "reserve",
        "permit",
        "preBind",
        "bind",
        "postBind",
        "multiPoint",
    ]
)
_TOP = frozenset(
    [
        "apiVersion",
        "kind",
        "profiles",
        "percentageOfNodesToScore",
        "podInitialBackoffSeconds",
        "podMaxBackoffSeconds",
        "parallelism",
        "leaderElection",
        "clientConnection",
        "enableProfiling",
        "enableContentionProfiling",
        "delayCacheUntilActive",
    ]
)


class ConfigError(ValueError):
    """The file cannot be used; the text says where and why."""


def read_config(text: str) -> SchedulerConfig:
    """Raises ConfigError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}") from None
    if not isinstance(found, dict) or (found.get("apiVersion"), found.get("kind")) != (GROUP, KIND):
        raise ConfigError(f"must be a {KIND} of {GROUP}")
    try:
        return _config(found)
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"does not have the form of a {KIND}: {error!r}") from None


def _config(found: Obj) -> SchedulerConfig:
    if unknown := sorted(set(found) - _TOP):
        raise ConfigError(f"{unknown[0]}: is not supported")
    percentage = _between(found.get("percentageOfNodesToScore"), 0, 100, "percentageOfNodesToScore", 0)
    initial = found.get("podInitialBackoffSeconds", 1)
    most = found.get("podMaxBackoffSeconds", 10)
    if initial <= 0:
        raise ConfigError(f"podInitialBackoffSeconds: Invalid value: {initial}: must be greater than 0")
    if most < initial:
        raise ConfigError(
            f"podMaxBackoffSeconds: Invalid value: {most}: must be greater than or equal to"
            " PodInitialBackoffSeconds"
        )
    listed = found.get("profiles") or [{}]
    profiles: dict[str, Profile] = {}
    for index, entry in enumerate(listed):
        name = entry.get("schedulerName") or (DEFAULT_SCHEDULER if len(listed) == 1 else "")
        path = f"profiles[{index}]"
        if not name:
            raise ConfigError(f"{path}.schedulerName: Required value")
        if name in profiles:
            raise ConfigError(f'{path}.schedulerName: Duplicate value: "{name}"')
        profiles[name] = _profile(entry, replace(Profile(), name=name, percentage=percentage), path)
    return SchedulerConfig(profiles, float(initial), float(most))


def _profile(entry: Obj, profile: Profile, path: str) -> Profile:
    if (own := entry.get("percentageOfNodesToScore")) is not None:
        own = _between(own, 0, 100, f"{path}.percentageOfNodesToScore", 0)
        profile = replace(profile, percentage=own)
    profile = _plugins(entry.get("plugins") or {}, profile, f"{path}.plugins")
    for index, config in enumerate(entry.get("pluginConfig") or ()):
        where = f"{path}.pluginConfig[{index}]"
        name = _known(config["name"], where)
        if (take := _ARGUMENTS.get(name)) is not None:
            profile = take(config.get("args") or {}, profile, f"{where}.args")
    return profile


def _plugins(points: Mapping[str, Any], profile: Profile, path: str) -> Profile:
    """multiPoint says something of all points at once; what one point says itself goes before that."""
    filters, scores, preempts = set(profile.filters), dict(profile.scores), profile.preempts
    if unknown := sorted(set(points) - _POINTS):
        raise ConfigError(f"{path}.{unknown[0]}: is no extension point")
    for point in ("multiPoint", "filter", "score", "postFilter"):
        chosen = points.get(point) or {}
        everything = point == "multiPoint"
        for entry in chosen.get("disabled") or ():
            name = entry["name"]
            gone = _KNOWN if name == "*" else {_known(name, f"{path}.{point}.disabled")}
            if everything or point == "filter":
                filters -= gone
            if everything or point == "score":
                scores = {key: weight for key, weight in scores.items() if key not in gone}
            if (everything or point == "postFilter") and PREEMPTION in gone:
                preempts = False
        for entry in chosen.get("enabled") or ():
            name = _known(entry["name"], f"{path}.{point}.enabled")
            if (everything or point == "filter") and name in FILTERS:
                filters.add(name)
            if (everything or point == "score") and name in SCORES:
                scores[name] = entry.get("weight") or SCORES[name]
            preempts = preempts or name == PREEMPTION
    return replace(profile, filters=frozenset(filters), scores=scores, preempts=preempts)


def _known(name: str, path: str) -> str:
    if name not in _KNOWN:
        raise ConfigError(f'{path}: Invalid value: "{name}": there is no such plugin')
    return name


def _between(value: Any, least: int, most: int, path: str, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{path}: Invalid value: {value}: not in valid range [{least}, {most}]")
    return value


def _fit(args: Obj, profile: Profile, path: str) -> Profile:
    strategy = args.get("scoringStrategy") or {}
    kind = strategy.get("type") or "LeastAllocated"
    if kind not in ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"):
        raise ConfigError(
            f'{path}.scoringStrategy.type: Unsupported value: "{kind}": supported values: "LeastAllocated",'
            ' "MostAllocated", "RequestedToCapacityRatio"'
        )
    shape: tuple[tuple[int, int], ...] = ()
    if kind == "RequestedToCapacityRatio":
        shape = _shape(
            strategy.get("requestedToCapacityRatio"), f"{path}.scoringStrategy.requestedToCapacityRatio"
        )
    fit = Fit(
        cast(Strategy, kind),
        _resources(strategy.get("resources"), f"{path}.scoringStrategy.resources"),
        shape,
        frozenset(args.get("ignoredResources") or ()),
        frozenset(args.get("ignoredResourceGroups") or ()),
    )
    return replace(profile, fit=fit)


def _shape(ratio: Obj | None, path: str) -> tuple[tuple[int, int], ...]:
    """Points of (utilisation, score); scores of 0 to 10 in the file are 0 to 100 here."""
    points = (ratio or {}).get("shape") or ()
    if not points:
        raise ConfigError(f"{path}.shape: Required value: at least one point must be specified")
    found: list[tuple[int, int]] = []
    for index, point in enumerate(points):
        where = f"{path}.shape[{index}]"
        at = _between(point.get("utilization", 0), 0, 100, f"{where}.utilization", 0)
        score = _between(point.get("score", 0), 0, 10, f"{where}.score", 0)
        if found and at <= found[-1][0]:
            raise ConfigError(
                f"{where}.utilization: Invalid value: {at}: values must be sorted in increasing order"
            )
        found.append((at, score * 10))
    return tuple(found)


def _resources(listed: Any, path: str) -> Resources:
    found = []
    for index, entry in enumerate(listed or ()):
        weight = entry.get("weight") or 1
        if not 0 < weight <= 100:
            raise ConfigError(
                f"{path}[{index}].weight: Invalid value: {weight}: resource weight of {entry['name']} not in"
                " valid range (0, 100]"
            )
        found.append((entry["name"], weight))
    return tuple(found) or (("cpu", 1), ("memory", 1))


def _balanced(args: Obj, profile: Profile, path: str) -> Profile:
    found = _resources(args.get("resources"), f"{path}.resources")
    if any(weight != 1 for _, weight in found):
        raise ConfigError(f"{path}.resources: Invalid value: weights must be 1")
    return replace(profile, balanced=found)


def _inter_pod(args: Obj, profile: Profile, path: str) -> Profile:
    weight = _between(args.get("hardPodAffinityWeight"), 0, 100, f"{path}.hardPodAffinityWeight", 1)
    ignores = bool(args.get("ignorePreferredTermsOfExistingPods"))
    return replace(profile, hard_affinity_weight=weight, ignore_others_preferences=ignores)


def _node_affinity(args: Obj, profile: Profile, path: str) -> Profile:
    spec = {"affinity": {"nodeAffinity": args.get("addedAffinity") or {}}}
    required = affinity.required(spec)
    return replace(
        profile,
        added_affinity=required if required.terms is not None else None,
        added_preferences=affinity.preferred(spec),
    )


def _spread(args: Obj, profile: Profile, path: str) -> Profile:
    listed, kind = args.get("defaultConstraints") or (), args.get("defaultingType") or "System"
    if kind not in ("System", "List"):
        raise ConfigError(
            f'{path}.defaultingType: Unsupported value: "{kind}": supported values: "System", "List"'
        )
    if kind == "System":
        if listed:
            raise ConfigError(
                f'{path}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty'
            )
        return replace(profile, default_soft=SYSTEM_SPREAD, default_hard=(), system_defaults=True)
    by_action: dict[str, list[Spread]] = {"DoNotSchedule": [], "ScheduleAnyway": []}
    for index, entry in enumerate(listed):
        where = f"{path}.defaultConstraints[{index}]"
        if entry.get("labelSelector") is not None:
            raise ConfigError(
                f"{where}.labelSelector: Forbidden: constraint must not define a selector, as they deduced"
                " for each pod"
            )
        if entry.get("whenUnsatisfiable") not in by_action:
            raise ConfigError(f"{where}.whenUnsatisfiable: Unsupported value")
        if not isinstance(entry.get("maxSkew"), int) or entry["maxSkew"] <= 0:
            raise ConfigError(
                f"{where}.maxSkew: Invalid value: {entry.get('maxSkew')}: not in valid range (0, inf)"
            )
        by_action[entry["whenUnsatisfiable"]].append(Spread(entry["topologyKey"], entry["maxSkew"], NOTHING))
    return replace(
        profile,
        default_soft=tuple(by_action["ScheduleAnyway"]),
        default_hard=tuple(by_action["DoNotSchedule"]),
        system_defaults=False,
    )


def _volume_binding(args: Obj, profile: Profile, path: str) -> Profile:
    seconds = args.get("bindTimeoutSeconds", 600)
    if seconds < 0:
        raise ConfigError(
            f"{path}.bindTimeoutSeconds: Invalid value: {seconds}: invalid BindTimeoutSeconds, should not be"
            " a negative value"
        )
    return replace(profile, bind_timeout=float(seconds))


def _preemption(args: Obj, profile: Profile, path: str) -> Profile:
    percentage = _between(
        args.get("minCandidateNodesPercentage"), 0, 100, f"{path}.minCandidateNodesPercentage", 10
    )
    least = args.get("minCandidateNodesAbsolute", 100)
    if least < 0:
        raise ConfigError(
            f"{path}.minCandidateNodesAbsolute: Invalid value: {least}: not in valid range [0, inf)"
        )
    if not percentage and not least:
        raise ConfigError(
            f"{path}.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as"
            " minCandidateNodesAbsolute"
        )
    return replace(profile, candidates_percentage=percentage, candidates_least=least)


_ARGUMENTS: dict[str, Callable[[Obj, Profile, str], Profile]] = {
    "NodeResourcesFit": _fit,
    "NodeResourcesBalancedAllocation": _balanced,
    "InterPodAffinity": _inter_pod,
    "NodeAffinity": _node_affinity,
    "PodTopologySpread": _spread,
    "VolumeBinding": _volume_binding,
    PREEMPTION: _preemption,
}
