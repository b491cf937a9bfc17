"""PodSecurity: what pods of a namespace may ask of their node, by the levels privileged, baseline and
restricted. `levels` reads them from the namespace's labels, `baseline` and `restricted` hold one function
for each check, `evaluation` says which of them count for a level at a version, `plugin` asks."""

from podium.api.admission.podsecurity.configuration import Configuration, ConfigurationError, read
from podium.api.admission.podsecurity.plugin import PodSecurity

__all__ = ["Configuration", "ConfigurationError", "PodSecurity", "read"]
