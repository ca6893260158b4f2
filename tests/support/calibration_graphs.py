"""Small graphs with weights, made and run, for the tests of Q/DQ."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from small_graphs import FLOAT, node

IMAGE = ("x", FLOAT, ["n", 3, 8, 8])


def values(*shape, seed=5):
    """Normal values that are the same in every test, whichever ran before."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


DATA = values(12, 3, 8, 8)


def weights(*shape):
    # Channels of very different ranges: one scale for all would lose the small ones.
    return values(*shape, seed=6) * np.logspace(-2, 0, shape[0], dtype=np.float32).reshape(-1, *[1] * (len(shape) - 1))


def save(folder, nodes, constants, outputs=("y",), inputs=(IMAGE,), opset=17):
    made = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [made(*each) for each in inputs],
        [made(name, FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)  # fills in the shapes of the outputs, which the checker wants
    onnx.checker.check_model(model, full_check=True)
    del model.graph.value_info[:]
    onnx.save(model, str(folder / "m.onnx"))
    return folder / "m.onnx"


def conv(inputs, output, **attributes):
    return node("Conv", inputs, [output], pads=[1, 1, 1, 1], **attributes)


def load(path):
    """The nodes by their first output, who makes a tensor, and the constants."""
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return graph, {name: each for each in graph.node for name in each.output}, constants


def run(path, inputs, outputs=("y",)):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(list(outputs), inputs)
