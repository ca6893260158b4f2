"""DOUBLE becomes FLOAT, and INT64 constants are known to fit INT32, as TensorRT would make them without a word."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Set, Tuple

import numpy as np

from tf2trt.errors import SurgeryError
from tf2trt.extras import require
from tf2trt.onnx_skeleton import is_reference
from tf2trt.surgery.edit import Editor, all_nodes
from tf2trt.surgery.nodes import attribute, label, nested
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.weights import array_of, tensor_of

__all__ = ["narrow_types"]

_INT32 = np.iinfo(np.int32)
_BLOCK = 1 << 20  # elements of a constant that are looked at together
_FLOAT = np.finfo(np.float32)
_TYPE_ATTRIBUTES = ("to", "dtype", "output_datatype")


def narrow_types(model: Any, notes: List[str]) -> Any:
    """Makes every DOUBLE tensor inside the model FLOAT, and clamps or refuses what INT32 cannot hold.

    Inputs and outputs of the model keep their types: a Cast stands behind or before them. TensorRT computes DOUBLE in
    FP32 anyway and clamps constants that are too large; here they are an error. Arithmetic in FP32 rounds sooner, so
    a Floor, a comparison or a Cast to an integer may fall on the other side where its operand is a rounding error away.

    INT64 tensors stay INT64: many operators ask for it, TensorRT 10 has it, and 8 narrows it to INT32 itself. For 8
    the constants must fit. Bounds of a Slice that do not ("to the end") are clamped, which changes nothing; any other
    constant that does not is an error. What INT64 arithmetic gives at run time cannot be checked here.

    Raises:
        SurgeryError: a constant is outside the range of FP32 or INT32; the message names it and the value.
    """
    model = infer_shapes(model)
    editor = Editor(model)
    clamped = _narrow_int64(editor)
    if clamped:
        notes.append(f"{clamped} bounds of Slice clamped to INT32")
    strangers = [label(node) for node in all_nodes(model.graph) if node.domain not in ("", "ai.onnx")]
    if _has_double(model):
        if strangers or model.functions:
            which = strangers[0] if strangers else "a function of the model's"
            notes.append(f"DOUBLE left alone: {which} may want it")
        else:
            _narrow_double(editor, notes)
    return editor.finish()


def _tensors(graph: Any) -> Iterator[Tuple[str, Any]]:
    """The constants of a graph and of its bodies (TensorProto, changed in place), each with a name for messages."""
    for initializer in graph.initializer:
        yield initializer.name, initializer
    for node in graph.node:
        for item in node.attribute:
            if item.HasField("t"):
                yield node.output[0] if node.op_type == "Constant" else label(node), item.t
        for body in nested(node):
            yield from _tensors(body)


def _narrow_int64(editor: Editor) -> int:
    """Clamps the bounds of Slices; checks the other constants. Returns how many Slices got new bounds."""
    types = require("onnx", "export").TensorProto
    clamped = 0
    fine: Set[str] = set()
    for scope in scopes(editor.model):
        for _index, node in enumerate(scope.nodes):
            for place, name in enumerate(node.input):
                tensor = scope.tensor(name) if name and name not in fine else None
                if tensor is None or tensor.data_type != types.INT64:
                    continue
                array = scope.array(name)
                if not array.size or (array.min() >= _INT32.min and array.max() <= _INT32.max):
                    fine.add(name)
                elif node.op_type == "Slice" and place in (1, 2):
                    bounds = np.clip(array, _INT32.min, _INT32.max)
                    node.input[place] = editor.constant(scope, f"{node.output[0]}/bounds", bounds)
                    clamped += 1
                else:
                    worst = array.ravel()[np.argmax(np.abs(array.astype(np.float64)))]
                    raise SurgeryError(
                        f"the constant {name!r} does not fit INT32, which TensorRT computes in",
                        received=f"{worst}, read by {label(node)}",
                        expected=f"values from {_INT32.min} to {_INT32.max}",
                        hint="TensorRT 8 would clamp it silently; use smaller values, or INT32, in the model",
                    )
    return clamped


def _has_double(model: Any) -> bool:
    double = require("onnx", "export").TensorProto.DOUBLE
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    return (
        any(value.type.tensor_type.elem_type == double for value in values)
        or any(tensor.data_type == double for _, tensor in _tensors(model.graph))
        or any(attribute(node, name) == double for node in all_nodes(model.graph) for name in _TYPE_ATTRIBUTES)
    )


def _narrow_double(editor: Editor, notes: List[str]) -> None:
    onnx = require("onnx", "export")
    types, graph = onnx.TensorProto, editor.model.graph
    constants, worst = 0, 0.0
    for name, tensor in _tensors(graph):
        if tensor.data_type == types.DOUBLE:
            worst = max(worst, _narrow_tensor(name, tensor))
            constants += 1
    for node in all_nodes(graph):
        for item in node.attribute:
            if item.name in _TYPE_ATTRIBUTES and item.i == types.DOUBLE:
                item.i = types.FLOAT
    _border(editor)
    changed = _retype(graph, top=True)
    notes.append(f"{changed} DOUBLE tensors and {constants} constants made FLOAT")
    if worst:
        notes.append(f"constants rounded by at most {worst:.1e} of their value")


def _narrow_tensor(name: str, tensor: Any) -> float:
    """Rounds a constant; returns the largest relative error."""
    values = array_of(tensor)
    rounded = np.empty(values.shape, np.float32)
    worst = 0.0
    for start in range(0, values.size, _BLOCK):
        part = np.s_[start : start + _BLOCK]
        worst = max(worst, _narrow(name, values.reshape(-1)[part], rounded.reshape(-1)[part]))
    make = tensor_of if is_reference(tensor) else require("onnx.numpy_helper", "export").from_array
    tensor.CopyFrom(make(rounded, tensor.name))  # what lies in a node has to stay there
    return worst


def _narrow(name: str, exact: Any, rounded: Any) -> float:
    finite = np.isfinite(exact)
    with np.errstate(over="ignore", under="ignore"):
        rounded[:] = exact
    lost = finite & (~np.isfinite(rounded) | ((rounded == 0) & (exact != 0)))
    if lost.any():
        raise SurgeryError(
            f"the DOUBLE constant {name!r} is outside the range of FP32, which TensorRT computes in",
            received=repr(float(exact[lost].ravel()[0])),
            expected=f"0, or from {float(_FLOAT.smallest_subnormal):.1e} to {float(_FLOAT.max):.1e} in size",
            hint="scale the values in the model, or use another constant (1e-30 for 1e-300, 1e38 for infinity)",
        )
    some = finite & (exact != 0)
    error = np.abs(rounded[some].astype(np.float64) - exact[some]) / np.abs(exact[some])
    return float(error.max()) if error.size else 0.0


def _border(editor: Editor) -> None:
    """Casts behind inputs and before outputs of the model that are DOUBLE."""
    types, graph = require("onnx", "export").TensorProto, editor.model.graph
    scope = Scope(graph)
    renamed: Dict[str, str] = {}
    first: List[Any] = []
    last: List[Any] = []
    for value in graph.output:
        if value.type.tensor_type.elem_type == types.DOUBLE and value.name not in renamed:
            renamed[value.name] = editor.name(f"{value.name}/float")
            last.append(
                editor.node("Cast", [renamed[value.name]], [value.name], f"{value.name}/to_double", to=types.DOUBLE)
            )
    defaults = {item.name for item in graph.initializer}
    for value in graph.input:
        if value.type.tensor_type.elem_type != types.DOUBLE:
            continue
        if value.name in defaults:
            raise SurgeryError(f"the DOUBLE input {value.name!r} has a default value", hint="make it a constant")
        if value.name not in renamed:
            renamed[value.name] = editor.name(f"{value.name}/float")
        first.append(editor.node("Cast", [value.name], [renamed[value.name]], f"{value.name}/to_float", to=types.FLOAT))
    for node in all_nodes(graph):
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in renamed:
                    names[place] = renamed[name]
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    for body in (body for node in all_nodes(graph) for body in nested(node)):
        for value in body.output:
            value.name = renamed.get(value.name, value.name)
    if scope.nodes:
        editor.replace(scope, 0, [*first, scope.nodes[0]])
        tail = [*first, scope.nodes[0]] if len(scope.nodes) == 1 else [scope.nodes[-1]]
        editor.replace(scope, len(scope.nodes) - 1, [*tail, *last])


def _retype(graph: Any, top: bool) -> int:
    """Makes the declared types of all tensors FLOAT, save for the model's own inputs and outputs."""
    types = require("onnx", "export").TensorProto
    count = 0
    for value in [*graph.value_info, *([] if top else [*graph.input, *graph.output])]:
        if value.type.tensor_type.elem_type == types.DOUBLE:
            value.type.tensor_type.elem_type = types.FLOAT
            count += 1
    for node in graph.node:
        for body in nested(node):
            count += _retype(body, top=False)
    return count
