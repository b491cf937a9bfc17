"""The three ways to change an object by describing the change. Each returns a new document and never changes
its inputs; what did not change is shared with the old one.
"""

from podium.api.schema.patches.rfc6902 import json_patch
from podium.api.schema.patches.rfc7386 import merge_patch
from podium.api.schema.patches.strategic import strategic_patch

__all__ = ["json_patch", "merge_patch", "strategic_patch"]
