"""The passes of :func:`tf2trt.surgery.simplify`, in order."""

from __future__ import annotations

from typing import Any, Callable, Tuple

from tf2trt.surgery.fold_constants import fold_constants
from tf2trt.surgery.remove_casts import remove_casts
from tf2trt.surgery.remove_identities import remove_identities

__all__ = ["PASSES", "Pass"]

Pass = Callable[[Any], Any]
"""Takes an ``onnx.ModelProto``, which it may change, and returns one. Raises what it likes; the runner names it."""

PASSES: Tuple[Tuple[str, Pass], ...] = (
    # Before folding: an identity hides a constant from its user's pattern, and costs folding an evaluation.
    ("remove_identities", remove_identities),
    # Folding turns Shape-Gather-Concat chains into constants. It leaves unused producers, which it clears itself.
    ("fold_constants", fold_constants),
    # Last: the types of all tensors are known only after the shapes are, and folding leaves casts without a purpose.
    ("remove_casts", remove_casts),
)
