"""Lets Podium's packets pass the firewalls that others made on the machine.

An `accept` in a table of our own does not overrule a `drop` in somebody else's (Docker's FORWARD policy, ufw,
firewalld). So each foreign filter chain on the forward and input hooks gets accept rules for our links at its
top, with our comment, and loses them again when the cluster goes. Chains of the old iptables are not
nftables'; they are changed by its own command, if that is there.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from podium.netd.nft import Nft, NftError

log = logging.getLogger(__name__)

COMMENT = "podium"
LEGACY = "iptables-legacy"
LEGACY_TABLES = Path("/proc/net/ip_tables_names")


class Chain(NamedTuple):
    family: str
    table: str
    name: str
    hook: str

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.name}"


class Admitted(NamedTuple):
    """What shall pass: whatever uses our `links`, whatever goes between `pods` (by way of any link; "" for
    none), and the packets of tunnels to `tunnel_port` (0 for none)."""

    links: tuple[str, ...]
    pods: str = ""
    tunnel_port: int = 0


def admit(nft: Nft, admitted: Admitted, own: Iterable[str]) -> None:
    """Adds what is missing. `own` are the names of our own tables. Blocks; raises NftError."""
    for chain in foreign_chains(nft, own):
        present = {comment for _, comment in _our_rules(nft, chain)}
        lines = [
            f"insert rule {chain} {match} counter accept comment {_quoted(comment)}"
            for match, comment in _rules(chain.hook, admitted)
            if comment not in present
        ]
        if lines:
            log.info("admitting pods to chain %s, which somebody else made", chain)
            nft.apply_blocking("\n".join(lines) + "\n")
    for command in _legacy_commands(admitted):
        if subprocess.run([*command("-C")], capture_output=True, check=False).returncode != 0:
            subprocess.run([*command("-I")], capture_output=True, check=False)


def withdraw(nft: Nft, admitted: Admitted, own: Iterable[str]) -> None:
    """Removes what `admit` added for these. Blocks."""
    for chain in foreign_chains(nft, own):
        ours = {comment for _, comment in _rules(chain.hook, admitted)}
        for handle, comment in _our_rules(nft, chain):
            if comment in ours:
                nft.apply_blocking(f"delete rule {chain} handle {handle}\n")
    for command in _legacy_commands(admitted):
        subprocess.run([*command("-D")], capture_output=True, check=False)


def foreign_chains(nft: Nft, own: Iterable[str]) -> list[Chain]:
    """Filter chains of others that see packets to or through the node."""
    own = set(own)
    found = (entry["chain"] for entry in nft.query_blocking("list chains") if "chain" in entry)
    return [
        Chain(chain["family"], chain["table"], chain["name"], chain["hook"])
        for chain in found
        if chain["family"] in ("ip", "inet")
        and chain.get("type") == "filter"
        and chain.get("hook") in ("forward", "input")
        and chain["table"] not in own
    ]


def _rules(hook: str, admitted: Admitted) -> Iterator[tuple[str, str]]:
    """(match, comment) of each rule for a hook."""
    for link in admitted.links:
        yield f"iifname {_quoted(link)}", f"{COMMENT}: from {link}"
        if hook == "forward":
            yield f"oifname {_quoted(link)}", f"{COMMENT}: to {link}"
    if admitted.pods and hook == "forward":
        yield f"ip saddr {admitted.pods}", f"{COMMENT}: from {admitted.pods}"
        yield f"ip daddr {admitted.pods}", f"{COMMENT}: to {admitted.pods}"
    if admitted.tunnel_port and hook == "input":
        yield f"udp dport {admitted.tunnel_port}", f"{COMMENT}: tunnel {admitted.tunnel_port}"


def _our_rules(nft: Nft, chain: Chain) -> list[tuple[int, str]]:
    """(handle, comment) of our rules in a chain. A chain that nft cannot read back (rules of iptables
    extensions) is only ever appended to once per start, so it is taken as without."""
    try:
        entries = nft.query_blocking(f"list chain {chain}")
    except NftError as error:
        log.warning("cannot read chain %s: %s", chain, error)
        return []
    rules = (entry["rule"] for entry in entries if "rule" in entry)
    return [
        (rule["handle"], rule["comment"])
        for rule in rules
        if rule.get("comment", "").startswith(f"{COMMENT}: ")
    ]


def _quoted(text: str) -> str:
    return f'"{text}"'


class _LegacyCommand(NamedTuple):
    chain: str
    match: tuple[str, ...]

    def __call__(self, verb: str) -> list[str]:
        rule = [*self.match, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]
        return [LEGACY, "-w", "5", verb, self.chain, *rule]


def _legacy_commands(admitted: Admitted) -> list[_LegacyCommand]:
    """Empty where nobody uses the old iptables."""
    try:
        tables = LEGACY_TABLES.read_text().split()
    except OSError:
        return []
    if "filter" not in tables or shutil.which(LEGACY) is None:
        return []
    places = (("FORWARD", "-i"), ("FORWARD", "-o"), ("INPUT", "-i"))
    found = [_LegacyCommand(chain, (option, link)) for link in admitted.links for chain, option in places]
    if admitted.pods:
        found += [_LegacyCommand("FORWARD", (option, admitted.pods)) for option in ("-s", "-d")]
    if admitted.tunnel_port:
        found.append(_LegacyCommand("INPUT", ("-p", "udp", "--dport", str(admitted.tunnel_port))))
    return found
