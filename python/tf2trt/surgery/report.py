"""What a rewrite did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

__all__ = ["PassReport", "SurgeryReport"]


@dataclass(frozen=True)
class PassReport:
    """One pass: ``changed`` counts the nodes that it removed, added or rewrote; ``seconds`` is its own time.

    ``notes`` are its own sentences: what it found and did, what it left alone and why.
    """

    name: str
    changed: int
    seconds: float
    notes: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        plain: Dict[str, Any] = {"name": self.name, "changed": self.changed, "seconds": round(self.seconds, 3)}
        return {**plain, "notes": list(self.notes)} if self.notes else plain


@dataclass(frozen=True)
class SurgeryReport:
    """All passes in the order in which they ran, and the main graph's node count before and after."""

    passes: Tuple[PassReport, ...]
    nodes_before: int
    nodes_after: int

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "passes": [report.to_json() for report in self.passes],
            "nodes_before": self.nodes_before,
            "nodes_after": self.nodes_after,
        }
