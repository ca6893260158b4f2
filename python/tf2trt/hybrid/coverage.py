"""How much of a model runs in engines: by its nodes, and by its measured time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Optional

__all__ = ["FREE", "Coverage", "count_nodes", "measure"]

# Operators that compute nothing: TensorFlow passes their value on, or does nothing at all. Counting them would make a
# model's coverage a matter of how its weights were frozen.
FREE = frozenset(
    [
        *("Arg", "Const", "Identity", "IdentityN", "NoOp", "Placeholder", "PlaceholderWithDefault", "PreventGradient"),
        *("ReadVariableOp", "Retval", "StopGradient", "VarHandleOp", "_Arg", "_Retval"),
    ]
)


@dataclass(frozen=True)
class Coverage:
    """``converted`` of ``nodes`` nodes (without those of :data:`FREE`) run in engines.

    ``converted_seconds`` and ``seconds`` are the nodes' measured times in the native model; None where they were not
    measured.
    """

    nodes: int
    converted: int
    seconds: Optional[float] = None
    converted_seconds: Optional[float] = None

    @property
    def node_share(self) -> float:
        """0 to 1. A model that computes nothing is not covered."""
        return self.converted / self.nodes if self.nodes else 0.0

    @property
    def time_share(self) -> Optional[float]:
        """0 to 1, or None where no time was measured."""
        return self.converted_seconds / self.seconds if self.seconds and self.converted_seconds is not None else None

    @property
    def share(self) -> float:
        """By nodes, or by time where that was measured and is less."""
        return self.node_share if self.time_share is None else min(self.node_share, self.time_share)

    @property
    def text(self) -> str:
        """One line for people."""
        line = f"{self.converted} of {self.nodes} nodes ({self.node_share:.1%})"
        return line if self.time_share is None else f"{line}, {self.time_share:.1%} of the measured time"

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "nodes": self.nodes,
            "converted": self.converted,
            "node_share": self.node_share,
            "seconds": self.seconds,
            "converted_seconds": self.converted_seconds,
            "time_share": self.time_share,
        }


def count_nodes(nodes: Iterable[Any]) -> int:
    """How many of ``nodes``, each with an ``op``, compute something."""
    return sum(node.op not in FREE for node in nodes)


def measure(converted: Iterable[Any], left: Iterable[Any]) -> Coverage:
    """The coverage by two lists of nodes, each with ``op`` and ``seconds`` (a number, or None where not measured)."""
    inside = [node for node in converted if node.op not in FREE]
    everything = [*inside, *(node for node in left if node.op not in FREE)]
    if all(node.seconds is None for node in everything):
        return Coverage(len(everything), len(inside))
    seconds, converted_seconds = (sum(node.seconds or 0.0 for node in nodes) for nodes in (everything, inside))
    return Coverage(len(everything), len(inside), seconds, converted_seconds)
