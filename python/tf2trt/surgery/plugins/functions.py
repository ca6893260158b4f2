"""The operators of domain ``tf2trt``: how a node of each is written, and what each computes, as an ONNX function."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from tf2trt.extras import require

__all__ = ["DOMAIN", "FP16_OPSET", "OPERATORS", "SMALLEST", "add_functions", "make_node", "opset_of"]

DOMAIN = "tf2trt"
SMALLEST = float(np.finfo(np.float32).tiny)  # FP32's smallest normal number; a GPU may flush what is below it to zero

# TensorRT's parser finds a plugin by these two attributes beside the operator's name.
_PLUGIN: Dict[str, Any] = {"plugin_version": "1", "plugin_namespace": DOMAIN}
_DEFAULTS: Dict[str, Dict[str, Any]] = {
    "L2Normalize": {"axes": [-1], "epsilon": 1e-12, "lp_normalization": 0},
    "LeakyReLU": {"alpha": 0.01},
}
OPERATORS = tuple(_DEFAULTS)
_IR_VERSION = 9  # the first that knows functions whose attributes have defaults
FP16_OPSET = 15  # the first with CastLike, without which a function cannot go back to its input's type


def opset_of(model: Any) -> int:
    """The version of ONNX's own operators that ``model`` imports."""
    return next((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), 1)


def make_node(op: str, x: str, y: str, name: str, **attributes: Any) -> Any:
    """A node ``y = op(x)`` with every attribute that the operator has."""
    helper = require("onnx.helper", "export")
    return helper.make_node(op, [x], [y], name=name, domain=DOMAIN, **{**_DEFAULTS[op], **attributes, **_PLUGIN})


def add_functions(model: Any, ops: Sequence[str]) -> None:
    """Adds the functions of ``ops`` that ``model`` lacks and the import of their domain; raises the IR version to 9."""
    present = {function.name for function in model.functions if function.domain == DOMAIN}
    model.functions.extend(_function(op, opset_of(model)) for op in dict.fromkeys(ops) if op not in present)
    if all(item.domain != DOMAIN for item in model.opset_import):
        model.opset_import.add(domain=DOMAIN, version=1)
    model.ir_version = max(model.ir_version, _IR_VERSION)


def _function(op: str, opset: int) -> Any:
    helper = require("onnx.helper", "export")
    return helper.make_function(
        DOMAIN,
        op,
        ["x"],
        ["y"],
        _l2_normalize(opset) if op == "L2Normalize" else [_node("LeakyRelu", ["x"], "y", alpha="alpha")],
        [helper.make_opsetid("", opset)],
        attribute_protos=[helper.make_attribute(*item) for item in {**_DEFAULTS[op], **_PLUGIN}.items()],
    )


def _l2_normalize(opset: int) -> List[Any]:
    """``y = x * rsqrt(max(sum(x * x), epsilon))`` in FP32; from opset 15 on for any floating-point ``x``.

    ONNX's LpNormalization is the same with the smallest epsilon there is: a row of zeros gives zeros and every other
    row is divided by its norm. So it needs no branch, and with ``epsilon`` and ``lp_normalization`` known the choice
    between the two folds away.
    """
    types = require("onnx", "export").TensorProto
    typed = opset >= FP16_OPSET
    x = "wide" if typed else "x"
    nodes = [
        _node("Constant", [], "axes", value_ints="axes"),
        _node("Constant", [], "epsilon", value_float="epsilon"),
        _node("Constant", [], "lp", value_int="lp_normalization"),
        _node("Constant", [], "smallest", ("value_float", SMALLEST)),
        _node("Cast", ["lp"], "is_lp", ("to", types.BOOL)),
        _node("Where", ["is_lp", "smallest", "epsilon"], "least"),
        _node("Mul", [x, x], "squares"),
        _node("ReduceSum", ["squares", "axes"], "sum", ("keepdims", 1)),
        _node("Max", ["sum", "least"], "clamped"),
        _node("Sqrt", ["clamped"], "norm"),
        _node("Reciprocal", ["norm"], "inverse"),
        _node("Mul", [x, "inverse"], "product" if typed else "y"),
    ]
    if typed:
        nodes = [_node("Cast", ["x"], x, ("to", types.FLOAT)), *nodes, _node("CastLike", ["product", "x"], "y")]
    return nodes


def _node(op: str, inputs: Sequence[str], output: str, *constants: Tuple[str, Any], **references: str) -> Any:
    """A node of a function's body; ``references`` names for each attribute the function's attribute that gives it."""
    onnx = require("onnx", "export")
    kinds = {
        "alpha": onnx.AttributeProto.FLOAT,
        "value_float": onnx.AttributeProto.FLOAT,
        "value_int": onnx.AttributeProto.INT,
        "value_ints": onnx.AttributeProto.INTS,
    }
    node = onnx.helper.make_node(op, inputs, [output], name=output, **dict(constants))
    for name, reference in references.items():
        node.attribute.add(name=name, ref_attr_name=reference, type=kinds[name])
    return node
