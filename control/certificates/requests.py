"""A CertificateSigningRequest as its controllers read it, and what the signers of the cluster ask of one.
Pure.

Source: API reference, certificates.k8s.io/v1; docs, "Certificates and Certificate Signing Requests",
Kubernetes signers."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from podium.api.types import Obj

CLIENT = "kubernetes.io/kube-apiserver-client"
NODE_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
NODE_SERVING = "kubernetes.io/kubelet-serving"
NODE_GROUP = "system:nodes"
NODE_USER = "system:node:"

_NODE_CLIENT_USAGES = frozenset({"digital signature", "key encipherment", "client auth"})
_NODE_SERVING_USAGES = frozenset({"digital signature", "key encipherment", "server auth"})
_OPTIONAL = "key encipherment"
_CLIENT_USAGES = ("digital signature", "key encipherment")


class Names(NamedTuple):
    """The alternative names of a request, by kind."""

    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def parse(csr: Obj) -> x509.CertificateSigningRequest:
    """Raises ValueError for what the API server would not have let pass."""
    return x509.load_pem_x509_csr(base64.b64decode(csr["spec"]["request"]))


def conditions(csr: Obj) -> list[Obj]:
    found: list[Obj] = (csr.get("status") or {}).get("conditions") or []
    return found


def has(csr: Obj, kind: str) -> bool:
    return any(each.get("type") == kind for each in conditions(csr))


def decided(csr: Obj) -> bool:
    """Whether it is approved or denied."""
    return has(csr, "Approved") or has(csr, "Denied")


def issued(csr: Obj) -> bool:
    return bool((csr.get("status") or {}).get("certificate"))


def common_name(request: x509.CertificateSigningRequest) -> str:
    found = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


def alternative_names(request: x509.CertificateSigningRequest) -> Names:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names()
    return Names(
        tuple(names.get_values_for_type(x509.DNSName)),
        tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
        tuple(names.get_values_for_type(x509.RFC822Name)),
        tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def refusal(csr: Obj, request: x509.CertificateSigningRequest) -> str:
    """Why its signer does not sign it; "" when it does."""
    usages = csr["spec"].get("usages") or ()
    match csr["spec"]["signerName"]:
        case "kubernetes.io/kube-apiserver-client":
            return _client_usages(usages)
        case "kubernetes.io/kube-apiserver-client-kubelet":
            return node_client_refusal(request, usages)
        case "kubernetes.io/kubelet-serving":
            return node_serving_refusal(request, usages)
    return "the signer is not one of this cluster's"


def node_client_refusal(request: x509.CertificateSigningRequest, usages: Iterable[str]) -> str:
    names = alternative_names(request)
    if fault := _not_in_group(request):
        return fault
    for kind, found in (("DNS", names.dns), ("Email", names.emails), ("IP", names.ips), ("URI", names.uris)):
        if found:
            return f"{kind} subjectAltNames are not allowed"
    return _not_a_node(request) or _other_usages(usages, _NODE_CLIENT_USAGES)


def node_serving_refusal(request: x509.CertificateSigningRequest, usages: Iterable[str]) -> str:
    names = alternative_names(request)
    if fault := _not_in_group(request):
        return fault
    if not names.dns and not names.ips:
        return "DNS or IP subjectAltName is required"
    for kind, found in (("Email", names.emails), ("URI", names.uris)):
        if found:
            return f"{kind} subjectAltNames are not allowed"
    return _other_usages(usages, _NODE_SERVING_USAGES) or _not_a_node(request)


def _not_in_group(request: x509.CertificateSigningRequest) -> str:
    found = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    groups = [str(each.value) for each in found]
    return "" if groups == [NODE_GROUP] else f"subject organization is not {NODE_GROUP}"


def _not_a_node(request: x509.CertificateSigningRequest) -> str:
    is_node = common_name(request).startswith(NODE_USER)
    return "" if is_node else f"subject common name does not begin with {NODE_USER}"


def _other_usages(usages: Iterable[str], wanted: frozenset[str]) -> str:
    """Keys that are not RSA's encipher nothing."""
    if set(usages) in (wanted, wanted - {_OPTIONAL}):
        return ""
    return f"usages did not match [{' '.join(sorted(wanted))}]"


def _client_usages(usages: Iterable[str]) -> str:
    listed = list(usages)
    for usage in listed:
        if usage not in (*_CLIENT_USAGES, "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in listed else "missing required usage for client certificate: client auth"
