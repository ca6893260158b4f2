"""A small network of convolutions with and without Q/DQ nodes, for the tests of precision."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (2, 3, 8, 8)
LAYERS = 3


def network(path, *, quantise=False, integer_weights=True, opset=17, scale=0.03, seed=None):
    """Convolutions conv0..conv2, each with its Relu, a mean over the picture and a MatMul ``dense``; static shapes.

    With ``quantise`` the convolutions have Q/DQ nodes before their inputs and weights, per channel, and the weights are
    INT8 (``integer_weights``) or FP32 with a QuantizeLinear, as training with quantisation leaves them. The second Relu
    has no name.
    """
    seed = int(np.random.default_rng().integers(1 << 31)) if seed is None else seed
    print("seed of the network:", seed)
    rng = np.random.default_rng(seed)
    nodes, tensors = [], []

    def constant(name, value):
        tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(op, inputs, output, name, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    last, channels = "x", SHAPE[1]
    for place in range(LAYERS):
        weights = (rng.normal(size=(8, channels, 3, 3)) / 5).astype(np.float32)
        name, kernel = f"conv{place}", f"w{place}"
        if quantise:
            both = (constant(f"s{place}", np.float32(scale)), constant(f"z{place}", np.int8(0)))
            last = node("QuantizeLinear", [last, *both], f"xq{place}", f"{name}/x/Q")
            last = node("DequantizeLinear", [last, *both], f"xd{place}", f"{name}/x/DQ")
            each = np.abs(weights).max((1, 2, 3)).astype(np.float32) / 127
            both = (constant(f"ws{place}", each), constant(f"wz{place}", np.zeros(8, np.int8)))
            if integer_weights:
                steps = np.clip(np.round(weights / each[:, None, None, None]), -127, 127)
                constant(f"wq{place}", steps.astype(np.int8))
            else:
                constant(f"wf{place}", weights)
                node("QuantizeLinear", [f"wf{place}", *both], f"wq{place}", f"{name}/w/Q", axis=0)
            node("DequantizeLinear", [f"wq{place}", *both], kernel, f"{name}/w/DQ", axis=0)
        else:
            constant(kernel, weights)
        last = node("Conv", [last, kernel], f"c{place}", name, pads=[1, 1, 1, 1])
        last, channels = node("Relu", [last], f"r{place}", "" if place == 1 else f"relu{place}"), 8
    if opset < 18:
        last = node("ReduceMean", [last], "g", "pool", axes=[2, 3], keepdims=0)
    else:
        last = node("ReduceMean", [last, constant("axes", np.array([2, 3]))], "g", "pool", keepdims=0)
    node("MatMul", [last, constant("v", rng.normal(size=(8, 5)).astype(np.float32))], "y", "dense")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", SHAPE), ("y", (2, 5)))
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def images():
    """Fresh inputs."""
    seed = int(np.random.default_rng().integers(1 << 31))
    print("seed of the images:", seed)
    return np.random.default_rng(seed).standard_normal(SHAPE, np.float32)
