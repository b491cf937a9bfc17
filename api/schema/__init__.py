"""What every kind looks like: types, pruning, patches and OpenAPI documents, all from the published
definitions.

No I/O here but reading the definitions' file once. Nothing knows the store or HTTP; failures are
`StatusError`s.
"""

from podium.api.schema.body import decode_body
from podium.api.schema.definitions import Definitions
from podium.api.schema.schema import DecodeError, Schema

__all__ = ["DecodeError", "Definitions", "Schema", "decode_body"]
