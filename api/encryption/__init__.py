"""Objects encrypted at rest, as an EncryptionConfiguration asks for it: memory and network see none of it.

Source: Kubernetes documentation, "Encrypting Confidential Data at Rest"; apiserver.config.k8s.io/v1."""

from podium.api.encryption.config import ConfigError, read_config, template
from podium.api.encryption.encryption import Encryption

__all__ = ["ConfigError", "Encryption", "read_config", "template"]
