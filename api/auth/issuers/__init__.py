"""Tokens of others: JWTs of OpenID Connect issuers. `configuration` reads who they are, `keys` fetches what
they sign with, `claims` says whom a token stands for, `issuer` puts them together."""

from podium.api.auth.issuers.configuration import Anonymous, Configuration, read
from podium.api.auth.issuers.issuer import Issuer, Issuers

__all__ = ["Anonymous", "Configuration", "Issuer", "Issuers", "read"]
