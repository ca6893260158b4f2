"""TensorFlow operators that tf2onnx does not know, in ONNX's."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from tf2trt.extras import require

__all__ = ["HANDLERS"]


def _erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """``1 - erf(x)``: Keras 3's exact GELU has it. To FP32's rounding of numbers around 1, as GELU needs it."""
    mapping = require("onnx.helper", "export")
    dtype, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
    source, result = node.input[0], node.output[0]
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", [source], name=f"{node.name}/erf", shapes=[shape], dtypes=[dtype])
    one = graph.make_const(f"{node.name}/one", np.ones((), mapping.tensor_dtype_to_np_dtype(dtype)))
    graph.make_node(
        "Sub", [one.output[0], erf.output[0]], name=node.name, outputs=[result], shapes=[shape], dtypes=[dtype]
    )


HANDLERS: Dict[str, Tuple[Callable[..., None], List[Any]]] = {"Erfc": (_erfc, [])}
"""As ``tf2onnx.tfonnx.process_tf_graph`` takes them: by TensorFlow's operator, a function and its arguments."""
