"""Graphs with transposes for the tests of the pass, and what it has to leave of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tf2trt.export.convert import io_specs
from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.transposes import transposes
from tf2trt.verify import random_inputs, relative_error

FLOAT, BOOL, INT64 = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
X = [("x", FLOAT, ["n", 3, 4, 5])]  # NCHW; behind t(...) it is NHWC: n, 4, 5, 3


def node(op, inputs, outputs, **attributes):
    inputs, outputs = inputs.split(), outputs.split()
    name = attributes.pop("name", f"the {op} of {outputs[0]}")
    return helper.make_node(op, ["" if i == "-" else i for i in inputs], outputs, name=name, **attributes)


def t(source, result, perm):
    return node("Transpose", source, result, perm=perm)


def make(nodes, outputs, constants=None, inputs=X, opset=15):
    """``outputs`` as names of FP32 tensors of four axes, or as (name, type, shape)."""
    values = [item if isinstance(item, tuple) else (item, FLOAT, ["n", "b", "c", "d"]) for item in outputs]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in values],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def ops(model):
    return Counter(item.op_type for item in model.graph.node)


def run(path, feed):
    """Without ONNX Runtime's optimisations, which move Transposes too, and not always well."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([item.name for item in session.get_outputs()], session.run(None, feed)))


def rewritten(model, tmp_path, left, tolerance=1e-6):
    """The model after the pass, with ``left`` Transposes, compared with the one before for two sizes of batch."""
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(model, str(before))
    result, report = run_pass("transposes", transposes, onnx.load(str(before)))
    onnx.save(result, str(after))
    old, new = ops(model)["Transpose"], ops(result)["Transpose"]
    assert new == left
    assert report.notes == ((f"{old} Transpose before, {new} after",) if old != new else ())
    names = [item.name for item in result.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert list(result.graph.input) == list(model.graph.input)
    assert list(result.graph.output) == list(infer_shapes(model).graph.output)
    for batch in (1, 3):
        feed = random_inputs(io_specs(onnx, model.graph.input), batch)
        # Mean 1: a sum over values of mean 0 comes near 0 now and then, and the order of adding is then all there is.
        for value in feed.values():
            if value.dtype == np.float32:
                value += 1
        wanted = run(before, feed)
        for name, value in run(after, feed).items():
            assert value.dtype == wanted[name].dtype
            assert relative_error(value, wanted[name]) <= tolerance, name
    return result


def unchanged(model, tmp_path):
    result = rewritten(model, tmp_path, ops(model)["Transpose"])
    for old, new in zip(model.graph.node, result.graph.node):
        assert (old.op_type, old.name, old.input, old.output) == (new.op_type, new.name, new.input, new.output)
        assert old.op_type == "If" or old.attribute == new.attribute
    assert len(result.graph.node) == len(model.graph.node)


def between(*nodes, to=FLOAT):
    """``nodes`` on NHWC, from a to b, with a Transpose to each side."""
    return [t("x", "a", TO_NHWC), *nodes, t("b", "y", TO_NCHW)], [("y", to, ["n", "b", "c", "d"])]


def ones(*shape):
    return np.ones(shape, np.float32)
