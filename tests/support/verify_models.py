"""Models that are made to fail in a lower precision, for the tests of verify."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


class Graph:
    """Nodes one after the other; each belongs to a Keras layer."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, value, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op, inputs, output, layer=None, **attributes):
        path = f"net/{layer}/{op}" if layer else f"{output}_{op}"
        node = helper.make_node(op, inputs, [output], name=path, **attributes)
        if layer:
            node.metadata_props.add(key="tf2trt.layer", value=layer)
        self.nodes.append(node)
        return output

    def save(self, path, inputs, outputs, opset=15):
        def values(shapes):
            return [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, "g", values(inputs), values(outputs), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))
        return path


def turn(rng, width):
    """A rotation: it keeps what goes through it at its size."""
    return np.linalg.qr(rng.standard_normal((width, width)))[0]


def overflowing(path, layers=100, loud=None, width=32, gain=2.0**16):
    """Dense layers with tanh. Where it is given, layer ``loud`` makes activations past FP16's 65,504, and the next
    makes them small again.

    The factor is a power of two, whose inverse FP16 holds exactly: nothing but the overflow is to blame.
    """
    rng = np.random.default_rng(5)
    graph, last = Graph(), "x"
    for index in range(layers):
        layer = f"dense_{index}"
        if index - 1 == loud:
            last = graph.add("Mul", [last, graph.constant("shrink", 1 / gain)], f"s{index}", layer)
            continue
        factor = gain if index == loud else 16.0 if index + 1 == loud else 1.0  # tanh of much is about 1 or -1
        weights = factor * turn(rng, width)
        product = graph.add("MatMul", [last, graph.constant(f"w{index}", weights)], f"m{index}", layer)
        bias = graph.constant(f"b{index}", 0.1 * rng.standard_normal(width))
        last = graph.add("Add", [product, bias], f"a{index}", layer)
        if index != loud:
            last = graph.add("Tanh", [last], f"t{index}", layer)
    return graph.save(path, {"x": ["n", width]}, {last: ["n", width]})


def hostile(path, quantised, layers=100, outlier=43, width=32):
    """Dense layers with tanh, as FP32 at ``path`` and with QuantizeLinear and DequantizeLinear at ``quantised``.

    Behind layer ``outlier`` one channel is 3,000 times as large as the others, and the next layer's weights make it
    small again: one scale for all channels leaves nothing of the others.
    """
    rng = np.random.default_rng(6)
    graph, last = Graph(), "x"
    factors = np.ones(width)
    factors[0] = 3000.0
    for index in range(layers):
        layer = f"dense_{index}"
        weights = turn(rng, width)
        if index == outlier + 1:
            weights = weights / factors[:, None]
        product = graph.add("MatMul", [last, graph.constant(f"w{index}", weights)], f"m{index}", layer)
        last = graph.add("Tanh", [product], f"t{index}", layer)
        if index == outlier:
            last = graph.add("Mul", [last, graph.constant("factors", factors)], f"f{index}", layer)
    graph.save(path, {"x": ["n", width]}, {last: ["n", width]})
    _quantise(path, quantised, width, rng)
    return path


def _quantise(path, target, width, rng):
    """Symmetric INT8: one scale for what each MatMul reads, measured on data; one per column of its weights."""
    from tf2trt.verify import OnnxReference
    from tf2trt.verify.bisect.marks import marked

    model = onnx.load(str(path))
    read = [node.input[0] for node in model.graph.node if node.op_type == "MatMul"]
    shown = path.with_name("shown.onnx")
    onnx.save(marked(model, [name for name in read if name != "x"]), str(shown))
    x = rng.standard_normal((256, width)).astype(np.float32)
    ranges = {"x": x, **OnnxReference(shown)({"x": x})}
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes, constants = [], []

    def pair(name, scale, **attributes):
        zero = np.zeros_like(scale, np.int8)
        constants.extend(
            [numpy_helper.from_array(scale, f"{name}_scale"), numpy_helper.from_array(zero, f"{name}_zero")]
        )
        around = [f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *around], [f"{name}_q"], f"{name}_Q", **attributes))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q", *around], [f"{name}_dq"], f"{name}_DQ", **attributes)
        )
        return f"{name}_dq"

    for node in model.graph.node:
        if node.op_type == "MatMul":
            data, weight = node.input
            node.input[0] = pair(data, np.float32(np.abs(ranges[data]).max() / 127))
            node.input[1] = pair(weight, np.float32(np.abs(weights[weight]).max(axis=0) / 127), axis=1)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(target))
