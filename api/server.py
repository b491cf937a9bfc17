"""One API server: its parts put together, started and stopped. Made to be embedded.

Nothing here reads global configuration, installs signal handlers or needs root. A server can be used without
listening at all (through `client`), on any number of addresses, and many times in one process.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from podium.api import bootstrap, defaultroles, pki
from podium.api.admission import PROTECTION, TAINT, Admission
from podium.api.admission.chain import Plugin
from podium.api.admission.dynamic import DynamicAdmission
from podium.api.admission.escalation import Escalation
from podium.api.admission.limited import Limited
from podium.api.admission.noderestriction import NodeRestriction
from podium.api.admission.numbers import Numbers
from podium.api.admission.owners import OwnerReferences
from podium.api.admission.podsecurity import Configuration as PodSecurityConfiguration
from podium.api.admission.policies import Policies
from podium.api.admission.policies.params import Params
from podium.api.admission.policies.reporting import Reporting
from podium.api.admission.signers import CertificateApproval, CertificateSigning
from podium.api.admission.versions import Versions
from podium.api.admission.webhooks import WebhookClient, Webhooks
from podium.api.aggregation import Aggregator
from podium.api.allocators import SERVICE_CIDR, ServiceAllocators
from podium.api.asgi import App
from podium.api.audit import Audit
from podium.api.auth.authentication import Authentication
from podium.api.auth.authentication import Settings as AuthenticationSettings
from podium.api.auth.authorizer import ALWAYS_ALLOW, RBAC, Authorizer
from podium.api.auth.configuration import ConfigError
from podium.api.auth.reviews import reviews
from podium.api.auth.signing import SigningKeys
from podium.api.auth.tokens import Tokens
from podium.api.auth.webhooks.authorization import AccessReviewer
from podium.api.auth.webhooks.configuration import Asked
from podium.api.conversions import CONVERSIONS
from podium.api.core import Core
from podium.api.discovery import Discovery
from podium.api.extensions.registrar import Registrar
from podium.api.fairness import Fairness, Keeping
from podium.api.health import Check, Health
from podium.api.kinds import Kind, Kinds
from podium.api.listening import Address, Listeners, Tls
from podium.api.local import LocalClient
from podium.api.metering import Collector, MetricsApi
from podium.api.metering import schema as metering_schema
from podium.api.metrics import Collect, Metrics
from podium.api.nodes import client_context
from podium.api.others import Others, Served
from podium.api.proxy import Proxy
from podium.api.rest import Rest
from podium.api.running import Running
from podium.api.schema import Definitions
from podium.api.schema.openapi import Documents
from podium.api.schema.openapi.documents import Added
from podium.api.services import service_endpoint
from podium.api.store.base import Store
from podium.api.store.memory import MemoryStore
from podium.api.strategy import registry
from podium.api.tallies import Tallies
from podium.api.types import Obj
from podium.api.types.resources import SERVICES, Resource
from podium.api.upgrade import Upgrades

if TYPE_CHECKING:
    from podium.api.contract import ContractCheck

log = logging.getLogger(__name__)

ISSUER = "https://kubernetes.default.svc.cluster.local"
# Seconds that requests under way have to end when the server does.
DRAIN = 10.0
# What a start goes through, by the names that /readyz has for it.
HOOKS = (
    "bootstrap-controller",
    "scheduling/bootstrap-system-priority-classes",
    "rbac/bootstrap-roles",
    "priority-and-fairness-config-producer",
    "apiservice-registration-controller",
    "crd-informer-synced",
)
SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """`pki_dir` holds the CA, the certificates and the signing key; without one, they are made for this
    process and forgotten. `advertise` is where the cluster reaches the server, None when nobody shall.
    `names` are further names and addresses for the server's certificate. `check_contract` holds what comes
    and goes over the network against the served documents, and logs what does not fit. Rates of the resource
    metrics API are told over about `metrics_resolution` seconds. `protect_storage` keeps volumes and claims
    that are in use from going; it needs the controllers, which let them go; so does `taint_nodes`, with
    which a new node takes no pod until it was seen ready. A request that has an end of its
    own must have come to it in `request_timeout` seconds (0: any number); of these, as many seats as
    `max_requests_inflight` and `max_mutating_requests_inflight` are served at once. A server that is
    closed says so at /readyz `shutdown_delay` seconds before. `authorization` are the modes
    (Node, RBAC, AlwaysAllow) that are asked whether somebody may do something, in that order.
    Service account tokens are issued by `issuer`; those of `former_issuers`, and those signed with one of
    the `service_account_keys` before, are good too. `disabled_admission` names admission plugins that are
    left out, `enabled_admission` those that are only there when they are named."""

    pki_dir: Path | None = None
    advertise: Address | None = None
    names: Sequence[str] = ()
    service_cidr: str = SERVICE_CIDR
    kubernetes_address: str = "10.43.0.1"
    dns_address: str = "10.43.0.10"
    issuer: str = ISSUER
    former_issuers: Sequence[str] = ()
    audiences: Sequence[str] = (ISSUER,)
    service_account_keys: Sequence[Path] = ()
    clock: Callable[[], datetime] = field(default=now)
    check_contract: bool = False
    protect_storage: bool = False
    taint_nodes: bool = False
    metrics_resolution: float = 10.0
    request_timeout: float = 60.0
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    shutdown_delay: float = 0.0
    audit: Audit | None = None
    authentication: AuthenticationSettings = field(default_factory=AuthenticationSettings)
    authorization: Sequence[str | Asked] = (ALWAYS_ALLOW,)
    enabled_admission: Sequence[str] = ()
    pod_security: PodSecurityConfiguration | None = None
    quota_limits: Sequence[Limited] = ()
    # What the server was started with, as it is told at /flagz.
    flags: Mapping[str, str] = field(default_factory=dict)
    disabled_admission: Sequence[str] = ()


class ApiServer:
    """`start` before anything else, `close` at the end. The store is the caller's when it is given, and
    then is started and closed by the caller; otherwise it is in memory and the server's own."""

    def __init__(self, config: ServerConfig | None = None, store: Store | None = None) -> None:
        self.config = config or ServerConfig()
        self.store: Store = store or MemoryStore()
        self._owns_store = store is None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._listeners: Listeners | None = None
        self.contract: ContractCheck | None = None
        self._ready = False
        self._leaving = False
        # What is to be done before the server is ready, and what of it is.
        self._hooks = [name for name in HOOKS if RBAC in self.config.authorization or "rbac" not in name]
        self._done: set[str] = set()
        # Those who have more to show at /metrics.
        self.collectors: list[Collect] = [self.config.audit.families] if self.config.audit else []
        # Where it listens; the certificate covers all of them, so that it need not be made anew at every
        # start.
        self._hosts: list[str] = []

    async def start(self) -> None:
        """Loads the store, makes what is missing of the certificates and of the first objects. Listens on
        nothing yet."""
        config = self.config
        if self._owns_store:
            await self.store.start()
        self.pki_dir = config.pki_dir or self._scratch_dir()
        self.authority = pki.ensure_ca(self.pki_dir)
        self._definitions = Definitions.load()
        allocators = ServiceAllocators(config.service_cidr)
        kinds = Kinds(
            Kind(strategy, self._definitions, CONVERSIONS.get(strategy.resource))
            for strategy in registry({SERVICES: allocators}).values()
        )
        self._tokens = self._make_tokens()
        self._authentication = Authentication(
            config.authentication, self._tokens, lambda: self._proxy.client(), config.clock
        )
        self._authorizer = Authorizer(self._modes(), self.store, kinds)
        self._core = Core(self.store, kinds, self._admission(kinds), config.clock, set())
        allocators.seed(self._core.every(SERVICES))
        context = self._node_context()
        self._proxy = Proxy(self._core, context)
        self._front = pki.ensure_ca(self.pki_dir, "front-proxy-ca", "podium-front-proxy-ca")
        collector = Collector(self._core, self._proxy.client, context, config.metrics_resolution)
        self._metering = MetricsApi(self._core, collector, config.clock)
        resources = [*(kind.resource for kind in kinds.all()), *metering_schema.RESOURCES]
        documents = Documents(resources, more=metering_schema.DEFINITIONS)
        self._app = self._application(kinds, documents)
        if config.check_contract:
            self.contract = self._contract_check(documents)
        self.client = LocalClient(
            self._core, self._definitions, self._authentication, self._authorizer, self._app
        )
        addresses = bootstrap.Addresses(
            config.kubernetes_address, config.dns_address, config.service_cidr, config.advertise
        )
        await bootstrap.ensure(self._core, addresses)
        self._done |= {"bootstrap-controller", "scheduling/bootstrap-system-priority-classes"}
        if RBAC in config.authorization:
            await defaultroles.ensure(self._core)
            self._done.add("rbac/bootstrap-roles")
        await bootstrap.publish_authorities(self._core, self.authority, self._front)
        self._keeping = Keeping(self._core, self._fairness)
        await self._keeping.start()
        self._done.add("priority-and-fairness-config-producer")
        await self._aggregator.start()
        self._done.add("apiservice-registration-controller")
        self._policies = Reporting(self._core)
        self._policies.start()
        await self._registrar.start()
        self._done.add("crd-informer-synced")
        self._ready = True

    async def serve(self, host: str = "127.0.0.1", port: int = 0, *, tls: bool = True) -> Address:
        """Listens on one more address, and returns it with the port that was chosen. Raises OSError."""
        if self._listeners is None:
            self._listeners = Listeners(self.contract or self._app, Upgrades(self._app.visit), self._fairness)
        return await self._listeners.open(host, port, self._server_context(host) if tls else None)

    async def close(self) -> None:
        """Lets the requests under way come to their end, ends watches as if their time were over, then what
        else is open, and the store if it is the server's own. Idempotent."""
        if not self._leaving:
            await self._leave()
        await self._registrar.close()
        await self._policies.close()
        await self._keeping.close()
        await self._aggregator.close()
        await self._proxy.close()
        if self._listeners is not None:
            await self._listeners.close()
        if self.contract is not None:
            self.contract.close()
        if self._owns_store:
            await self.store.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    async def _leave(self) -> None:
        """Who asks /readyz learns of it first, and has `shutdown_delay` seconds to look elsewhere."""
        self._leaving = True
        if self._listeners is not None and self.config.shutdown_delay:
            await asyncio.sleep(self.config.shutdown_delay)
        self._running.refuse()
        if self._listeners is not None:
            self._listeners.refuse()
        for stream in list(self._core.streams):
            stream.close()
        if self._listeners is not None:
            await self._running.drain(DRAIN)
        self._running.close()
        self._ready = False

    def resources(self) -> Sequence[Resource]:
        """What is served now: the built-in kinds and those of custom resources."""
        return [kind.resource for kind in self._core.kinds.all()]

    def secret_token(self, account: Obj, secret: Obj) -> str:
        """A token of the account for a Secret of type kubernetes.io/service-account-token to hold."""
        return self._tokens.issue_for_secret(account, secret)

    @property
    def ca_file(self) -> Path:
        return self.authority.pair.cert

    def admin(self) -> pki.Pair:
        """A client certificate that may do everything: user `kubernetes-admin` in `system:masters`."""
        return pki.issue(
            self.authority,
            self.pki_dir,
            "admin",
            common_name="kubernetes-admin",
            organizations=("system:masters",),
        )

    # --- parts

    def _admission(self, kinds: Kinds) -> Admission:
        switches = {PROTECTION: self.config.protect_storage, TAINT: self.config.taint_nodes}
        disabled = {name for name, on in switches.items() if not on} | set(self.config.disabled_admission)
        tallies = Tallies(self.store, kinds, self.config.clock)
        numbers = Numbers()
        self.collectors.append(numbers.families)
        return Admission(
            self._lookup,
            self._every,
            self._appears,
            disabled,
            tallies.used,
            self.config.clock,
            self._dynamic(kinds, numbers),
            self._guards(kinds),
            self.config.pod_security,
            numbers,
            self.config.quota_limits,
        )

    def _guards(self, kinds: Kinds) -> Sequence[Plugin]:
        may = self._authorizer
        named = self.config.enabled_admission
        more = (OwnerReferences(may, kinds),) if OwnerReferences.name in named else ()
        if RBAC not in self.config.authorization:
            return more
        return *more, NodeRestriction(may), Escalation(may), CertificateApproval(may), CertificateSigning(may)

    def _make_tokens(self) -> Tokens:
        """Raises ConfigError."""
        config = self.config
        try:
            keys = SigningKeys(pki.ensure_signing_key(self.pki_dir), config.service_account_keys)
        except (OSError, ValueError) as error:
            raise ConfigError(f"the keys of service account tokens cannot be used: {error}") from None
        issuers = (config.issuer, *config.former_issuers)
        return Tokens(keys, issuers, config.audiences, self._lookup, config.clock)

    def _modes(self) -> list[str | AccessReviewer]:
        """Raises ConfigError."""
        return [
            mode if isinstance(mode, str) else mode.reviewer(lambda: self._proxy.client())
            for mode in self.config.authorization
        ]

    def _dynamic(self, kinds: Kinds, numbers: Numbers) -> DynamicAdmission:
        self._webhooks = client = WebhookClient(
            lambda namespace, name, port: service_endpoint(self._core, namespace, name, port, elsewhere=True),
            lambda: self._proxy.client(),
        )
        self.collectors.append(client.families)
        versions, params = Versions(kinds, self._definitions.schema), Params(kinds, self._lookup, self._every)
        webhooks = Webhooks(client, versions, self._lookup, self._authorizer, numbers)
        policies = Policies(versions, params, self._lookup, self._authorizer)
        return DynamicAdmission(self.store, webhooks, policies)

    def _lookup(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self._core.lookup(resource, namespace, name)

    def _every(self, resource: Resource, namespace: str = "") -> Sequence[Obj]:
        prefix = self._core.kinds.of(resource).below(namespace)
        return [entry.obj for entry in self.store.latest_below(prefix)]

    async def _appears(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return await self._core.appears(resource, namespace, name)

    def _contract_check(self, documents: Documents) -> ContractCheck:
        # Large, and seldom asked for.
        from podium.api.contract import ContractCheck

        return ContractCheck(self._app, documents)

    def _application(self, kinds: Kinds, documents: Documents) -> App:
        config = self.config
        self._running = running = Running(config.request_timeout)
        metrics = Metrics(running)
        seats = config.max_requests_inflight + config.max_mutating_requests_inflight
        self._fairness = fairness = Fairness(seats, self.store.count)
        self.collectors += [fairness.families, self._authentication.families, self._authorizer.families]
        host, port = config.advertise or ("127.0.0.1", 0)
        discovery = Discovery(kinds, f"{host}:{port}")
        self._aggregator = aggregator = self._make_aggregator(discovery)

        def extended(added: Mapping[str, Added]) -> None:
            discovery.refresh()
            documents.extend(added)

        self._registrar = Registrar(self._core, self._definitions, self._webhooks.post, extended)
        served = Served(
            self.store, kinds, self._tokens, discovery, metrics, documents, aggregator,
            Health(self._checks()), self.collectors, config.flags, config.clock
        )  # fmt: skip
        rest = Rest(
            self._core,
            self._definitions,
            self._tokens,
            self._authorizer,
            self._proxy,
            dict(reviews(self._authentication, self._authorizer)),
            fairness,
        )
        others = Others(served).application()
        return App(kinds, self._authentication, self._authorizer, rest, self._proxy, aggregator, others,
                   metrics, running, fairness, config.audit)  # fmt: skip

    def _checks(self) -> list[Check]:
        """Of /healthz and its like."""
        ready = ("readyz",)
        return [
            Check("ping", lambda: ""),
            Check("store", lambda: self.store.fault),
            Check("bootstrap", lambda: "" if self._ready else "the first objects are being made", ready),
            *(Check(f"poststarthook/{name}", partial(self._missing, name), ready) for name in self._hooks),
            Check("shutdown", lambda: "the server is shutting down" if self._leaving else "", ready),
        ]

    def _missing(self, hook: str) -> str:
        return "" if hook in self._done else "not finished"

    def _make_aggregator(self, discovery: Discovery) -> Aggregator:
        pair = pki.issue(self._front, self.pki_dir, "front-proxy-client", common_name=bootstrap.FRONT_PROXY)
        local = {(metering_schema.GROUP, metering_schema.VERSION): self._metering}
        return Aggregator(self._core, self._authorizer, self._proxy.client, pair, local, discovery.extend)

    def _node_context(self) -> ssl.SSLContext:
        pair = pki.issue(
            self.authority,
            self.pki_dir,
            "apiserver-node-client",
            common_name="system:kube-apiserver",
            organizations=("system:masters",),
        )
        return client_context(pair, str(self.ca_file))

    def _server_context(self, host: str) -> ssl.SSLContext:
        config = self.config
        hosts = [*SERVICE_NAMES, "127.0.0.1", config.kubernetes_address, *config.names]
        if config.advertise:
            hosts.append(config.advertise[0])
        if host not in ("0.0.0.0", "::"):
            self._hosts.append(host)
        pair = pki.issue_server(self.authority, self.pki_dir, "apiserver", [*hosts, *self._hosts])
        return Tls(pair, str(self.ca_file)).context()

    def _scratch_dir(self) -> Path:
        self._scratch = tempfile.TemporaryDirectory(prefix="podium-api-")
        return Path(self._scratch.name)
