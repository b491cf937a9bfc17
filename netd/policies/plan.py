"""From NetworkPolicies, pods and namespaces to the rules of one node. Pure. Source: networking.k8s.io/v1
NetworkPolicySpec.

A pod that no policy selects for a direction is open in it. One that is selected may do what any of its
policies allows: its chain asks them one after the other, and drops what is left. Chains are shared by pods
with the same policies, sets by rules with the same peers.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import orjson

from podium.api.types import Obj
from podium.api.types.selectors import Selector, from_label_selector
from podium.netd.policies.pods import PodView
from podium.netd.policies.ruleset import ADDRESS, DIRECTIONS, INGRESS, PORT, Ruleset

Labels = Mapping[str, str]


def ruleset(
    policies: Iterable[Obj], pods: Sequence[PodView], namespaces: Mapping[str, Labels], node: str
) -> Ruleset:
    """What `node` must hold; `namespaces` are their labels."""
    return _Planner(pods, namespaces).plan(policies, node)


class _Planner:
    def __init__(self, pods: Sequence[PodView], namespaces: Mapping[str, Labels]) -> None:
        self._pods = [(pod, dict(pod.labels)) for pod in pods]
        self._namespaces = namespaces
        self._result = Ruleset()

    def plan(self, policies: Iterable[Obj], node: str) -> Ruleset:
        here = [(pod, labels) for pod, labels in self._pods if pod.node == node]
        asked: dict[str, dict[PodView, list[str]]] = {direction: {} for direction in DIRECTIONS}
        for policy in sorted(policies, key=_key):
            selected = self._selected(policy, here)
            if not selected:
                continue
            for direction in _directions(policy):
                chain = self._policy(policy, direction)
                for pod in selected:
                    asked[direction].setdefault(pod, []).append(chain)
        for direction, found in asked.items():
            for pod, chains in found.items():
                self._result.guarded[direction][pod.ip] = self._guard(direction, chains)
        return self._result

    def _selected(self, policy: Obj, here: Iterable[tuple[PodView, Labels]]) -> list[PodView]:
        namespace = policy["metadata"]["namespace"]
        selector = from_label_selector((policy.get("spec") or {}).get("podSelector") or {})
        return [pod for pod, labels in here if pod.namespace == namespace and selector.matches(labels)]

    def _guard(self, direction: str, policies: list[str]) -> str:
        name = f"{direction}-of-{_digest(policies)}"
        self._result.chains[name] = (*(f"jump {policy}" for policy in policies), "drop")
        return name

    def _policy(self, policy: Obj, direction: str) -> str:
        name = f"{direction}-by-{_digest(_key(policy))}"
        rules: list[str] = []
        for rule in policy["spec"].get(direction) or ():
            peers = rule.get("from" if direction == INGRESS else "to") or ()
            matches = list(self._peers(peers, policy, direction)) if peers else [""]
            ports = list(self._ports(rule.get("ports") or ())) if rule.get("ports") else [""]
            rules += [" ".join(filter(None, (peer, port, "accept"))) for peer in matches for port in ports]
        self._result.chains[name] = tuple(dict.fromkeys(rules))
        return name

    def _peers(self, peers: Iterable[Obj], policy: Obj, direction: str) -> Iterator[str]:
        side = "ip saddr" if direction == INGRESS else "ip daddr"
        for peer in peers:
            if peer.get("ipBlock") is not None:
                yield from _block(peer["ipBlock"], side)
            else:
                yield f"{side} @{self._members(peer, policy['metadata']['namespace'])}"

    def _members(self, peer: Obj, namespace: str) -> str:
        """The name of the set of a peer's addresses."""
        spaces, selector = peer.get("namespaceSelector"), peer.get("podSelector") or {}
        name = f"peers-{_digest([spaces, selector, None if spaces is not None else namespace])}"
        if name not in self._result.sets:
            within = {namespace} if spaces is None else self._spaces(spaces)
            chosen = from_label_selector(selector)
            found = {
                pod.ip for pod, labels in self._pods if pod.namespace in within and chosen.matches(labels)
            }
            self._result.sets[name] = ADDRESS, frozenset(found)
        return name

    def _spaces(self, selector: Obj) -> set[str]:
        chosen: Selector = from_label_selector(selector)
        return {name for name, labels in self._namespaces.items() if chosen.matches(labels)}

    def _ports(self, ports: Iterable[Obj]) -> Iterator[str]:
        """One match per protocol for the numbers, one per name."""
        numbers: dict[str, list[tuple[int, int]]] = {}
        for port in ports:
            protocol, number = (port.get("protocol") or "TCP").lower(), port.get("port")
            if number is None:
                yield f"meta l4proto {protocol}"
            elif isinstance(number, str):
                yield f"ip daddr . meta l4proto . th dport @{self._named(number, protocol)}"
            else:
                numbers.setdefault(protocol, []).append((number, port.get("endPort") or number))
        for protocol, ranges in numbers.items():
            yield f"{protocol} dport {{ {', '.join(_merged(ranges))} }}"

    def _named(self, wanted: str, protocol: str) -> str:
        """The name of the set of all ports of that name, wherever: the rule's other half says whose."""
        name = f"ports-{wanted}-{protocol}"
        if name not in self._result.sets:
            found = {
                f"{pod.ip} . {protocol} . {number}"
                for pod, _ in self._pods
                for port, kind, number in pod.ports
                if (port, kind) == (wanted, protocol)
            }
            self._result.sets[name] = PORT, frozenset(found)
        return name


def _directions(policy: Obj) -> Iterator[str]:
    types = (policy.get("spec") or {}).get("policyTypes") or ()
    return (direction for direction in DIRECTIONS if direction.capitalize() in types)


def _key(policy: Obj) -> str:
    meta = policy["metadata"]
    return f"{meta['namespace']}/{meta['name']}"


def _block(block: Obj, side: str) -> Iterator[str]:
    """A block of the other family holds nobody."""
    whole = ipaddress.ip_network(block["cidr"], strict=False)
    if not isinstance(whole, ipaddress.IPv4Network):
        return
    parsed = (ipaddress.ip_network(text, strict=False) for text in block.get("except") or ())
    without = ipaddress.collapse_addresses(one for one in parsed if isinstance(one, ipaddress.IPv4Network))
    parts = [] if whole.prefixlen == 0 else [f"{side} {whole}"]
    if holes := [str(one) for one in without]:
        parts.append(f"{side} != {{ {', '.join(holes)} }}")
    yield " ".join(parts)


def _merged(ranges: Iterable[tuple[int, int]]) -> list[str]:
    """Ranges without overlaps, as nft writes them."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return [str(first) if first == last else f"{first}-{last}" for first, last in merged]


def _digest(what: object) -> str:
    return _hashed(orjson.dumps(what, option=orjson.OPT_SORT_KEYS))


@lru_cache(4096)
def _hashed(data: bytes) -> str:
    return hashlib.blake2s(data, digest_size=8).hexdigest()
