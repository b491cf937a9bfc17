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


def admit(nft: Nft, links: Iterable[str], own: Iterable[str]) -> None:
    """Adds what is missing. `own` are the names of our own tables. Blocks; raises NftError."""
    links = sorted(links)
    for chain in foreign_chains(nft, own):
        present = {comment for _, comment in _our_rules(nft, chain)}
        lines = [
            f"insert rule {chain} {match} counter accept comment {_quoted(comment)}"
            for match, comment in _rules(chain.hook, links)
            if comment not in present
        ]
        if lines:
            log.info("admitting %s to chain %s, which somebody else made", ", ".join(links), chain)
            nft.apply_blocking("\n".join(lines) + "\n")
    for command in _legacy_commands(links):
        if subprocess.run([*command("-C")], capture_output=True, check=False).returncode != 0:
            subprocess.run([*command("-I")], capture_output=True, check=False)


def withdraw(nft: Nft, links: Iterable[str], own: Iterable[str]) -> None:
    """Removes what `admit` added for these links. Blocks."""
    links = set(links)
    for chain in foreign_chains(nft, own):
        for handle, comment in _our_rules(nft, chain):
            if comment.rpartition(" ")[2] in links:
                nft.apply_blocking(f"delete rule {chain} handle {handle}\n")
    for command in _legacy_commands(links):
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


def _rules(hook: str, links: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(match, comment) of each rule for a hook."""
    for link in links:
        yield f"iifname {_quoted(link)}", f"{COMMENT}: from {link}"
        if hook == "forward":
            yield f"oifname {_quoted(link)}", f"{COMMENT}: to {link}"


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
    option: str
    link: str

    def __call__(self, verb: str) -> list[str]:
        rule = [self.option, self.link, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]
        return [LEGACY, "-w", "5", verb, self.chain, *rule]


def _legacy_commands(links: Iterable[str]) -> list[_LegacyCommand]:
    """Empty where nobody uses the old iptables."""
    try:
        tables = LEGACY_TABLES.read_text().split()
    except OSError:
        return []
    if "filter" not in tables or shutil.which(LEGACY) is None:
        return []
    places = (("FORWARD", "-i"), ("FORWARD", "-o"), ("INPUT", "-i"))
    return [_LegacyCommand(chain, option, link) for link in links for chain, option in places]
