"""The OpenAPI documents, v2 and v3, made from the definitions and the table of resources when somebody asks.

kubectl reads v3: `explain`, client-side merge (`apply`), and whether a kind's PATCH takes `fieldValidation`;
v2, as protobuf, for the kinds that v3 does not know.
"""

from podium.api.schema.openapi.documents import Document, Documents

__all__ = ["Document", "Documents"]
