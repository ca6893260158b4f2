"""What an export did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from tf2trt.specs import TensorSpec

__all__ = ["ExportReport"]


@dataclass(frozen=True)
class ExportReport:
    """The result of :func:`tf2trt.export.export`.

    ``source`` is ``"keras"``, ``"saved_model"``, ``"function"``, ``"graph_def"``, ``"tflite"`` or ``"onnx"``;
    ``detected`` says the same in words, with what else the model told. ``max_rel_error`` is the largest
    ``||onnx - tensorflow|| / ||tensorflow||`` over all outputs and batch sizes tried, None where the check was off or,
    for an ONNX file, where there is nothing to compare with. ``nodes`` counts the nodes of the main graph; ``seconds``
    is the whole export, check included.
    """

    output: Path
    source: str
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    opset: int
    max_rel_error: Optional[float]
    nodes: int
    seconds: float
    detected: str = ""

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "output": str(self.output),
            "source": self.source,
            "detected": self.detected,
            "inputs": [_spec(spec) for spec in self.inputs],
            "outputs": [_spec(spec) for spec in self.outputs],
            "opset": self.opset,
            "max_rel_error": self.max_rel_error,
            "nodes": self.nodes,
            "seconds": round(self.seconds, 3),
        }


def _spec(spec: TensorSpec) -> Dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
