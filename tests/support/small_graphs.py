"""Small ONNX graphs for the tests of surgery."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def node(op, inputs, outputs, layer=None, **attributes):
    made = helper.make_node(op, inputs, outputs, name=f"the {outputs[0]}", **attributes)
    if layer:
        made.metadata_props.add(key="tf2trt.layer", value=layer)
    return made


def build(nodes, inputs, outputs, constants=None, opset=15):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in inputs],
        [helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
