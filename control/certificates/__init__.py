"""Certificates on request: who may have one without being asked (`approval`), what is signed (`signing`), and
when a request or a bootstrap token is forgotten (`expiry`). Decisions are pure; the controllers beside them
are thin."""

from podium.control.certificates.approver import CertificateApprover
from podium.control.certificates.cleaner import CertificateCleaner
from podium.control.certificates.signer import CertificateSigner
from podium.control.certificates.tokens import TokenCleaner

__all__ = ["CertificateApprover", "CertificateCleaner", "CertificateSigner", "TokenCleaner"]
