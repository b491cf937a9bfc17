"""What the control plane does about nodes: a pod range for each (`ipam`), conditions and taints that tell the
truth about those that fell silent (`lifecycle`), and the eviction of pods from nodes that they do not
tolerate (`eviction`).
"""

from podium.control.nodes.eviction import TaintEviction
from podium.control.nodes.ipam import NodeIpam
from podium.control.nodes.lifecycle import NodeLifecycle, Patience

__all__ = ["NodeIpam", "NodeLifecycle", "Patience", "TaintEviction"]
