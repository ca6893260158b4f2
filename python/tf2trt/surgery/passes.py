"""The passes of :func:`tf2trt.surgery.simplify`, in order, and after them those that make plugins."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

from tf2trt.surgery.fold_constants import fold_constants
from tf2trt.surgery.plugins.l2_normalize import l2_normalize
from tf2trt.surgery.plugins.leaky_relu import leaky_relu
from tf2trt.surgery.remove_casts import remove_casts
from tf2trt.surgery.remove_identities import remove_identities

__all__ = ["PASSES", "PLUGINS", "Pass"]

Pass = Callable[[Any, List[str]], Any]
"""Takes an ``onnx.ModelProto``, which it may change, and a list, to which it may add sentences for the report; returns
a model. Raises what it likes; the runner names it.
"""

PASSES: Tuple[Tuple[str, Pass], ...] = (
    # Before folding: an identity hides a constant from its user's pattern, and costs folding an evaluation.
    ("remove_identities", remove_identities),
    # Folding turns Shape-Gather-Concat chains into constants. It leaves unused producers, which it clears itself.
    ("fold_constants", fold_constants),
    # Last: the types of all tensors are known only after the shapes are, and folding leaves casts without a purpose.
    ("remove_casts", remove_casts),
)

# Only those that are asked for, and after all of the above: axes and epsilons are constants then, and no identity or
# cast without effect stands between the parts of a pattern.
PLUGINS: Tuple[Tuple[str, Pass], ...] = (
    ("l2_normalize", l2_normalize),
    # One node for one: where it comes does not matter.
    ("leaky_relu", leaky_relu),
)
