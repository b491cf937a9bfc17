"""AuthenticationConfiguration: the issuers, how their claims become users, and where nobody may come.

Source: API reference, apiserver.config.k8s.io/v1 AuthenticationConfiguration; docs, "Authenticating", using
authentication configuration."""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from podium.api.auth.configuration import check_fields, document, duplicate, invalid, refuse, required
from podium.api.cel import CompileError, Program, compile_expression
from podium.api.types.errors import Cause

KIND = "AuthenticationConfiguration"
VERSIONS = (
    "apiserver.config.k8s.io/v1",
    "apiserver.config.k8s.io/v1beta1",
    "apiserver.config.k8s.io/v1alpha1",
)
MOST_ISSUERS = 64
MATCH_ANY = "MatchAny"
_EMAIL = re.compile(r"\bclaims\.\??email\b")
_VERIFIED = re.compile(r"\bclaims\.\??email_verified\b")
_KEY = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
)
_RESERVED = re.compile(r"(.*\.)?(kubernetes|k8s)\.io")

_FIELDS: dict[str, dict[str, Any]] = {
    "": {"apiVersion": str, "kind": str, "jwt": list, "anonymous": dict},
    "anonymous": {"enabled": bool, "conditions": list},
    "jwt": {"issuer": dict, "claimValidationRules": list, "claimMappings": dict, "userValidationRules": list},
    "issuer": {"url": str, "discoveryURL": str, "certificateAuthority": str, "audiences": list,
               "audienceMatchPolicy": str},
    "claimRule": {"claim": str, "requiredValue": str, "expression": str, "message": str},
    "userRule": {"expression": str, "message": str},
    "mappings": {"username": dict, "groups": dict, "uid": dict, "extra": list},
    "prefixed": {"claim": str, "prefix": str, "expression": str},
    "plain": {"claim": str, "expression": str},
    "extra": {"key": str, "valueExpression": str},
}  # fmt: skip


class Anonymous(NamedTuple):
    """Whether nobody in particular may come, and where alone when there are `paths`."""

    enabled: bool = True
    paths: frozenset[str] = frozenset()

    def admits(self, path: str) -> bool:
        return self.enabled and (not self.paths or path in self.paths)


class Mapped(NamedTuple):
    """A claim with a prefix, or an expression; neither for what is not mapped."""

    claim: str = ""
    prefix: str = ""
    expression: Program | None = None


class Rule(NamedTuple):
    """Either a claim with the value that it must have, or an expression that must hold."""

    claim: str = ""
    value: str = ""
    expression: Program | None = None
    message: str = ""


class IssuerConfig(NamedTuple):
    url: str
    discovery_url: str
    authority: str
    audiences: tuple[str, ...]
    username: Mapped
    groups: Mapped
    uid: Mapped
    extra: tuple[tuple[str, Program], ...]
    claim_rules: tuple[Rule, ...]
    user_rules: tuple[Rule, ...]


class Configuration(NamedTuple):
    issuers: tuple[IssuerConfig, ...] = ()
    anonymous: Anonymous | None = None


def read(text: str, disallowed: Collection[str] = ()) -> Configuration:
    """`disallowed` are issuers that are the server's own. Raises ConfigError."""
    given = document(text, KIND, VERSIONS)
    refuse(check_fields(given, "", _FIELDS[""]))
    causes: list[Cause] = []
    listed = given.get("jwt") or []
    if len(listed) > MOST_ISSUERS:
        causes.append(
            Cause("FieldValueTooMany", f"Too many: {len(listed)}: must have at most 64 items", "jwt")
        )
    issuers = [_Reader(entry, f"jwt[{i}]", disallowed, causes).issuer() for i, entry in enumerate(listed)]
    for field, urls in (
        ("url", [each.url for each in issuers]),
        ("discoveryURL", [each.discovery_url for each in issuers]),
    ):
        causes += [
            duplicate(f"jwt[{i}].issuer.{field}", url)
            for i, url in enumerate(urls)
            if url and url in urls[:i]
        ]
    anonymous = _anonymous(given.get("anonymous"), causes)
    refuse(causes)
    return Configuration(tuple(issuers), anonymous)


def _anonymous(given: Mapping[str, Any] | None, causes: list[Cause]) -> Anonymous | None:
    if given is None:
        return None
    causes += check_fields(given, "anonymous", _FIELDS["anonymous"])
    enabled, conditions = given.get("enabled") is True, given.get("conditions") or []
    if conditions and not enabled:
        why = "enabled should be set to true when conditions are defined"
        causes.append(invalid("anonymous.conditions", conditions, why))
    for index, condition in enumerate(conditions):
        causes += check_fields(condition, f"anonymous.conditions[{index}]", {"path": str})
    paths = frozenset(each.get("path", "") for each in conditions if isinstance(each, dict))
    return Anonymous(enabled, paths)


class _Reader:
    """Of one entry of `jwt`; what is wrong goes to `causes`."""

    def __init__(self, given: Any, path: str, disallowed: Collection[str], causes: list[Cause]) -> None:
        self._path = path
        self._disallowed = disallowed
        self._causes = causes
        self._given = self._part(given, "", "jwt")
        self._sources: list[str] = []

    def issuer(self) -> IssuerConfig:
        issuer = self._part(self._given.get("issuer") or {}, ".issuer", "issuer")
        mappings = self._part(self._given.get("claimMappings") or {}, ".claimMappings", "mappings")
        url, discovery = issuer.get("url") or "", issuer.get("discoveryURL") or ""
        self._urls(url, discovery)
        username = self._prefixed(mappings.get("username"), "username", needed=True)
        named_by = (mappings.get("username") or {}).get("expression") or ""
        found = IssuerConfig(
            url,
            discovery,
            self._authority(issuer.get("certificateAuthority") or ""),
            self._audiences(issuer),
            username,
            self._prefixed(mappings.get("groups"), "groups"),
            self._uid(mappings.get("uid")),
            self._extra(mappings.get("extra") or []),
            self._claim_rules(self._given.get("claimValidationRules") or []),
            self._user_rules(self._given.get("userValidationRules") or []),
        )
        if _EMAIL.search(named_by) and not any(_VERIFIED.search(source) for source in self._sources):
            why = (
                "claims.email_verified must be used in claimMappings.username.expression or "
                "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when "
                "claims.email is used in claimMappings.username.expression"
            )
            self._say(invalid(f"{self._path}.claimMappings.username.expression", named_by, why))
        return found

    def _say(self, cause: Cause) -> None:
        self._causes.append(cause)

    def _part(self, given: Any, place: str, fields: str) -> Mapping[str, Any]:
        faults = check_fields(given, f"{self._path}{place}", _FIELDS[fields])
        self._causes += faults
        return {} if faults else given

    def _urls(self, url: str, discovery: str) -> None:
        path = f"{self._path}.issuer"
        if not url:
            self._say(required(f"{path}.url"))
        else:
            self._url(f"{path}.url", url)
            if url in self._disallowed:
                listed = " ".join(sorted(self._disallowed))
                why = f"URL must not overlap with disallowed issuers: [{listed}]"
                self._say(invalid(f"{path}.url", url, why))
        if discovery:
            if url and url.rstrip("/") == discovery.rstrip("/"):
                why = "discoveryURL must be different from URL"
                self._say(invalid(f"{path}.discoveryURL", discovery, why))
            self._url(f"{path}.discoveryURL", discovery)

    def _url(self, path: str, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            self._say(invalid(path, url, str(error)))
            return
        for wrong, why in (
            (parts.scheme != "https", "URL scheme must be https"),
            ("@" in parts.netloc, "URL must not contain a username or password"),
            (bool(parts.query), "URL must not contain a query"),
            (bool(parts.fragment), "URL must not contain a fragment"),
        ):
            if wrong:
                self._say(invalid(path, url, why))

    def _authority(self, pem: str) -> str:
        try:
            if pem:
                ssl.create_default_context(cadata=pem)
        except (ssl.SSLError, ValueError):
            why = "data does not contain any valid RSA or ECDSA certificates"
            self._say(invalid(f"{self._path}.issuer.certificateAuthority", "<omitted>", why))
        return pem

    def _audiences(self, issuer: Mapping[str, Any]) -> tuple[str, ...]:
        path = f"{self._path}.issuer.audiences"
        listed = [str(each) for each in issuer.get("audiences") or ()]
        policy = issuer.get("audienceMatchPolicy") or ""
        if not listed:
            self._say(required(path, f"at least one {path} is required"))
            return ()
        for index, audience in enumerate(listed):
            if not audience:
                self._say(required(f"{path}[{index}]"))
            if audience in listed[:index]:
                self._say(duplicate(f"{path}[{index}]", audience))
        of_policy = f"{self._path}.issuer.audienceMatchPolicy"
        if len(listed) > 1 and policy != MATCH_ANY:
            self._say(
                invalid(of_policy, policy, "audienceMatchPolicy must be MatchAny for multiple audiences")
            )
        elif policy not in ("", MATCH_ANY):
            why = "audienceMatchPolicy must be empty or MatchAny for single audience"
            self._say(invalid(of_policy, policy, why))
        return tuple(listed)

    def _prefixed(self, given: Any, name: str, *, needed: bool = False) -> Mapped:
        place = f".claimMappings.{name}"
        part = self._part(given or {}, place, "prefixed")
        claim, expression, prefix = part.get("claim"), part.get("expression"), part.get("prefix")
        path = f"{self._path}{place}"
        if claim and expression:
            self._say(invalid(path, "", "claim and expression can't both be set"))
        elif expression:
            if prefix is not None:
                self._say(invalid(f"{path}.prefix", prefix, "may not be specified when expression is set"))
            return Mapped(expression=self._compiled(f"{path}.expression", expression))
        elif claim:
            if prefix is None:
                why = "prefix is required when claim is set. It can be set to an empty string to disable"
                self._say(required(f"{path}.prefix", f"{why} prefixing"))
            return Mapped(claim, prefix or "")
        elif needed:
            self._say(required(path, "claim or expression is required"))
        return Mapped()

    def _uid(self, given: Any) -> Mapped:
        part = self._part(given or {}, ".claimMappings.uid", "plain")
        path = f"{self._path}.claimMappings.uid"
        claim, expression = part.get("claim"), part.get("expression")
        if claim and expression:
            self._say(invalid(path, "", "claim and expression can't both be set"))
        if expression:
            return Mapped(expression=self._compiled(f"{path}.expression", expression))
        return Mapped(claim or "")

    def _extra(self, listed: Sequence[Any]) -> tuple[tuple[str, Program], ...]:
        found: dict[str, Program] = {}
        seen: set[str] = set()
        for index, entry in enumerate(listed):
            place = f".claimMappings.extra[{index}]"
            part = self._part(entry, place, "extra")
            key, source, path = part.get("key") or "", part.get("valueExpression"), f"{self._path}{place}"
            self._extra_key(f"{path}.key", key)
            if key in seen:
                self._say(duplicate(f"{path}.key", key))
            elif not source:
                self._say(required(f"{path}.valueExpression"))
            elif program := self._compiled(f"{path}.valueExpression", source):
                found[key] = program
            seen.add(key)
        return tuple(found.items())

    def _extra_key(self, path: str, key: str) -> None:
        if not key:
            self._say(required(path))
        elif not _KEY.fullmatch(key):
            self._say(invalid(path, key, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        if key != key.lower():
            self._say(invalid(path, key, "must be lowercase"))
        if _RESERVED.fullmatch(key.partition("/")[0]) and "/" in key:
            why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
            self._say(invalid(path, key, why))

    def _claim_rules(self, listed: Sequence[Any]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        seen: set[tuple[str, str]] = set()
        for index, entry in enumerate(listed):
            place = f".claimValidationRules[{index}]"
            part, path = self._part(entry, place, "claimRule"), f"{self._path}{place}"
            claim, source = part.get("claim") or "", part.get("expression") or ""
            message, value = part.get("message") or "", part.get("requiredValue") or ""
            which = "claim" if claim else "expression"
            if claim and source:
                self._say(invalid(path, claim, "claim and expression can't both be set"))
            elif not claim and not source:
                self._say(required(path, "claim or expression is required"))
            elif (claim, source) in seen:
                self._say(duplicate(f"{path}.{which}", claim or source))
            elif claim and message:
                self._say(invalid(f"{path}.message", message, "may not be specified when claim is set"))
            elif source and value:
                why = "may not be specified when expression is set"
                self._say(invalid(f"{path}.requiredValue", value, why))
            else:
                program = self._compiled(f"{path}.expression", source, ("bool",)) if source else None
                rules.append(Rule(claim, value, program, message))
            seen.add((claim, source))
        return tuple(rules)

    def _user_rules(self, listed: Sequence[Any]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        seen: set[str] = set()
        for index, entry in enumerate(listed):
            place = f".userValidationRules[{index}]"
            part, path = self._part(entry, place, "userRule"), f"{self._path}{place}.expression"
            source = part.get("expression") or ""
            if not source:
                self._say(required(path))
            elif source in seen:
                self._say(duplicate(path, source))
            elif program := self._compiled(path, source, ("bool",), "user"):
                rules.append(Rule(expression=program, message=part.get("message") or ""))
            seen.add(source)
        return tuple(rules)

    def _compiled(
        self,
        path: str,
        source: str,
        returns: tuple[str, ...] = ("string", "list", "null"),
        name: str = "claims",
    ) -> Program | None:
        self._sources.append(source)
        try:
            return compile_expression(source, (name,), returns)
        except CompileError as error:
            self._say(invalid(path, source, f"compilation failed: {error}"))
            return None
