"""The resolv.conf, hosts and hostname files of pods. Source: the API reference on dnsPolicy and dnsConfig;
resolv.conf(5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from podium.api.types import Obj

MAX_HOSTNAME = 63
MAX_NODENAME = 64
MAX_NAMESERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_LENGTH = 2048


class Resolver(NamedTuple):
    """What a resolv.conf says."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"search {' '.join(self.searches)}"] if self.searches else []
        lines += [f"nameserver {each}" for each in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> Resolver:
    """Reads a resolv.conf; of several `search` lines the last one counts."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = tuple(word.removesuffix(".") or "." for word in words[1:])
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), searches, tuple(dict.fromkeys(options)))


def resolver(pod: Obj, host: Resolver, *, servers: Sequence[str], domain: str) -> Resolver:
    """What the pod's policy and configuration make of the host's and the cluster's."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy", "ClusterFirst")
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or not servers:
        base = host
    else:
        namespace = pod["metadata"].get("namespace", "default")
        own = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
        searches = tuple(dict.fromkeys((*own, *host.searches)))
        base = Resolver(tuple(servers), searches, ("ndots:5",))
    return _limited(_configured(base, spec.get("dnsConfig") or {}))


def _configured(base: Resolver, config: Obj) -> Resolver:
    servers = tuple(dict.fromkeys((*base.nameservers, *(config.get("nameservers") or ()))))
    searches = tuple(dict.fromkeys((*base.searches, *(config.get("searches") or ()))))
    options = {option.partition(":")[0]: option for option in base.options}
    for option in config.get("options") or ():
        name, value = option.get("name", ""), option.get("value")
        options[name] = f"{name}:{value}" if value is not None else name
    return Resolver(servers, searches, tuple(options.values()))


def _limited(wanted: Resolver) -> Resolver:
    searches: list[str] = []
    for each in wanted.searches[:MAX_SEARCHES]:
        if len(" ".join((*searches, each))) > MAX_SEARCH_LENGTH:
            break
        searches.append(each)
    return Resolver(wanted.nameservers[:MAX_NAMESERVERS], tuple(searches), wanted.options)


def hostname(pod: Obj) -> str:
    """The pod's host name: its own choice or its name, cut to what the kernel takes."""
    spec = pod["spec"]
    name = spec.get("hostnameOverride") or spec.get("hostname") or pod["metadata"]["name"]
    return str(name)[:MAX_HOSTNAME].rstrip("-.")


def full_hostname(pod: Obj, domain: str) -> str:
    """With the pod's subdomain, where it has one: what `hostname -f` says."""
    spec, meta = pod["spec"], pod["metadata"]
    name = hostname(pod)
    if spec.get("subdomain") and not spec.get("hostnameOverride"):
        return f"{name}.{spec['subdomain']}.{meta.get('namespace', 'default')}.svc.{domain}"
    return name


def node_name(pod: Obj, domain: str) -> str:
    """The full name, where it is to be the kernel's too. Raises ValueError for one that is too long."""
    full = full_hostname(pod, domain)
    if len(full) > MAX_NODENAME:
        why = f"({MAX_NODENAME} characters is the max, {len(full)} characters requested)"
        what = "failed to construct FQDN from pod hostname and cluster domain"
        raise ValueError(f"{what}, FQDN {full} is too long {why}")
    return full


HOSTS_HEADER = "# Kubernetes-managed hosts file.\n"
HOST_NETWORK_HEADER = "# Kubernetes-managed hosts file (host network).\n"
_LOCAL = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)


def hosts(pod: Obj, ips: Sequence[str], domain: str, *, host_file: str | None = None) -> str:
    """The pod's /etc/hosts. `host_file` is the machine's own for a pod on its network."""
    aliases = pod["spec"].get("hostAliases") or ()
    if host_file is not None:
        return HOST_NETWORK_HEADER + host_file + _aliases(aliases)
    name, full = hostname(pod), full_hostname(pod, domain)
    names = f"{full}\t{name}" if full != name else name
    return HOSTS_HEADER + _LOCAL + "".join(f"{ip}\t{names}\n" for ip in ips) + _aliases(aliases)


def _aliases(aliases: Sequence[Obj]) -> str:
    if not aliases:
        return ""
    lines = (f"{each['ip']}\t{chr(9).join(each.get('hostnames') or ())}\n" for each in aliases)
    return "\n# Entries added by HostAliases.\n" + "".join(lines)
