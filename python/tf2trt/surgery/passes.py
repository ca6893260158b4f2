"""The passes of :func:`tf2trt.surgery.simplify`, in order, and after them those that make plugins."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

from tf2trt.surgery.explicit_shapes import explicit_shapes
from tf2trt.surgery.find_leaky_relu import find_leaky_relu
from tf2trt.surgery.fold_batch_norm import fold_batch_norm
from tf2trt.surgery.fold_constants import fold_constants
from tf2trt.surgery.lower_opset import lower_opset
from tf2trt.surgery.narrow_types import narrow_types
from tf2trt.surgery.plugins.l2_normalize import l2_normalize
from tf2trt.surgery.plugins.leaky_relu import leaky_relu
from tf2trt.surgery.remove_casts import remove_casts
from tf2trt.surgery.remove_identities import remove_identities
from tf2trt.surgery.remove_training import remove_training
from tf2trt.surgery.rewrite_pad import rewrite_pad
from tf2trt.surgery.rewrite_resize import rewrite_resize
from tf2trt.surgery.transposes import transposes

__all__ = ["PASSES", "PLUGINS", "Pass"]

Pass = Callable[[Any, List[str]], Any]
"""Takes an ``onnx.ModelProto``, which it may change, and a list, to which it may add sentences for the report; returns
a model. Raises what it likes; the runner names it.
"""

PASSES: Tuple[Tuple[str, Pass], ...] = (
    # Before folding: an identity hides a constant from its user's pattern, and costs folding an evaluation.
    ("remove_identities", remove_identities),
    # Before folding: extents that are known become constants, and what is computed from them can be folded.
    ("explicit_shapes", explicit_shapes),
    # What depends on constants alone. It leaves unused producers, which it clears itself.
    ("fold_constants", fold_constants),
    # After folding, when only constants that are used are left; before casts: a cast to DOUBLE has no purpose then.
    ("narrow_types", narrow_types),
    # The types of all tensors are known only after the shapes are, and folding leaves casts without a purpose.
    ("remove_casts", remove_casts),
    # Arithmetic without effect shows once shapes and constants are there.
    ("remove_training", remove_training),
    # While tensors still lie as TensorFlow laid them: Resize and Pad name their axes.
    ("rewrite_resize", rewrite_resize),
    # Compress has a constant condition only after folding.
    ("rewrite_pad", rewrite_pad),
    # After folding, when axes are constants, and after the passes that take the newest Resize and Pad apart.
    ("lower_opset", lower_opset),
    # One node in place of two or three lets a transpose go by.
    ("find_leaky_relu", find_leaky_relu),
    # Before batch norms: a transpose between a convolution and its scale hides the one from the other.
    ("transposes", transposes),
    ("fold_batch_norm", fold_batch_norm),
)

# Only those that are asked for, and after all of the above: axes and epsilons are constants then, and no identity or
# cast without effect stands between the parts of a pattern.
PLUGINS: Tuple[Tuple[str, Pass], ...] = (
    ("l2_normalize", l2_normalize),
    # One node for one: where it comes does not matter.
    ("leaky_relu", leaky_relu),
)
