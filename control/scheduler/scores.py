"""How good is a node for a pod, among those on which it can run? Each score is 0 to 100.

Source: the default weights of upstream's plugins: taints 3, preferred affinity 2, least allocated 1, balanced
1.
"""

from __future__ import annotations

from collections.abc import Sequence

from podium.control.scheduler.needs import Needs
from podium.control.scheduler.picture import NodePicture
from podium.control.scheduler.taints import bears_all

TAINT_WEIGHT = 3
AFFINITY_WEIGHT = 2


def best(needs: Needs, nodes: Sequence[NodePicture]) -> NodePicture:
    """The node with the highest score; of equals the one with the fewest pods. `nodes` is not empty."""
    if len(nodes) == 1:
        return nodes[0]
    totals = [resource_score(needs, node) for node in nodes]
    if any(node.soft_taints for node in nodes):
        counts = [_soft_taints(needs, node) for node in nodes]
        _blend(totals, [max(counts) - count for count in counts], TAINT_WEIGHT, max(counts))
    if needs.preferred:
        weights = [_preference(needs, node) for node in nodes]
        _blend(totals, weights, AFFINITY_WEIGHT, max(weights))
    winner = max(range(len(nodes)), key=lambda index: (totals[index], -len(nodes[index].pods)))
    return nodes[winner]


def resource_score(needs: Needs, node: NodePicture) -> float:
    """Least allocated and balanced allocation of cpu and memory, together 0 to 200."""
    cpu = _fraction(node.score_cpu + needs.cost.score_cpu, node.allocatable.get("cpu", 0))
    memory = _fraction(node.score_memory + needs.cost.score_memory, node.allocatable.get("memory", 0))
    least = 100 * (2 - cpu - memory) / 2
    # The standard deviation of two values is half their distance.
    balanced = 100 * (1 - abs(cpu - memory) / 2)
    return least + balanced


def _fraction(used: int, allocatable: int) -> float:
    return min(1.0, used / allocatable) if allocatable else 1.0


def _soft_taints(needs: Needs, node: NodePicture) -> int:
    return sum(not bears_all(needs.tolerations, (taint,)) for taint in node.soft_taints)


def _preference(needs: Needs, node: NodePicture) -> int:
    return sum(entry.weight for entry in needs.preferred if entry.term.matches(node.name, node.labels))


def _blend(totals: list[float], values: list[int], weight: int, highest: int) -> None:
    if highest:
        for index, value in enumerate(values):
            totals[index] += weight * 100 * value / highest
