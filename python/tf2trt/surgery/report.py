"""What a rewrite did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

from tf2trt.specs import TensorSpec
from tf2trt.surgery.bindings import dtype_name, graph_inputs, shape_of

__all__ = ["PassReport", "SurgeryReport", "make_report"]


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
    """All passes in the order in which they ran, the main graph's node count before and after, and what callers see.

    ``max_rel_error`` is the largest ``||after - before|| / ||before||`` of any output on random inputs in ONNX Runtime;
    None where the two were not compared, and ``not_compared`` may say why. ``seconds`` is the whole work.
    """

    passes: Tuple[PassReport, ...]
    nodes_before: int
    nodes_after: int
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    seconds: float
    max_rel_error: Optional[float] = None
    not_compared: Optional[str] = None

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "passes": [report.to_json() for report in self.passes],
            "nodes_before": self.nodes_before,
            "nodes_after": self.nodes_after,
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "seconds": round(self.seconds, 3),
            "max_rel_error": self.max_rel_error,
            "not_compared": self.not_compared,
        }


def make_report(
    passes: Sequence[PassReport],
    nodes_before: int,
    model: Any,
    seconds: float,
    error: Optional[float] = None,
    not_compared: Optional[str] = None,
) -> SurgeryReport:
    """The report on ``model``, as the passes left it."""

    def spec(value: Any) -> TensorSpec:
        return TensorSpec(value.name, dtype_name(value.type.tensor_type.elem_type), shape_of(value) or ())

    inputs, outputs = (tuple(map(spec, values)) for values in (graph_inputs(model), model.graph.output))
    nodes = len(model.graph.node)
    return SurgeryReport(tuple(passes), nodes_before, nodes, inputs, outputs, seconds, error, not_compared)
