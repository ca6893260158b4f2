"""Writes out shapes that the model computes although they are known."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.edit import Editor
from tf2trt.surgery.nodes import attribute, nested
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.shape_values import Extent, ShapeValues, as_int, divide, extents, multiply
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["explicit_shapes"]


def explicit_shapes(model: Any, notes: List[str]) -> Any:
    """Gives Reshape a constant shape, makes Flatten such a Reshape; other shapes that are known become constants.

    A constant holds the extents; -1 stands for the one that is not known (a dynamic batch, mostly), and 0 (as in the
    input) for others where there are more. A Reshape or Flatten that this does not suffice for stays as it is.
    """
    model = infer_shapes(model)
    editor = Editor(model)
    seen: Dict[int, ShapeValues] = {}
    written = flattened = computed = 0
    open_names: List[str] = []
    for scope in scopes(model):
        values = ShapeValues(scope, seen.get(id(scope.outer)))
        seen[id(scope)] = values
        for _index, node in enumerate(scope.nodes):
            if node.op_type not in ("Reshape", "Flatten") or node.domain not in ("", "ai.onnx"):
                continue
            is_flatten = node.op_type == "Flatten"
            if not is_flatten and node.output[0] in values.found:
                continue  # a shape itself
            target = _flat(scope, node) if is_flatten else _reshaped(scope, values, node)
            shape = target and _written(extents(scope, node.input[0]), target)
            if shape is None:
                if is_flatten or scope.tensor(node.input[1]) is None:
                    open_names.append(node.name or node.output[0])
                continue
            if not is_flatten and scope.integers(node.input[1]) == shape:
                continue
            operand = editor.constant(scope, f"{node.output[0]}/shape", np.array(shape, np.int64))
            del node.attribute[:]
            node.op_type = "Reshape"
            node.input[:] = [node.input[0], operand]
            flattened += is_flatten
            written += not is_flatten
        computed += _write_values(editor, scope, values)
    for count, what in ((written, "Reshape with a constant shape now"), (flattened, "Flatten made Reshape")):
        if count:
            notes.append(f"{count} {what}")
    if computed:
        notes.append(f"{computed} computed shapes that are known became constants")
    if open_names:
        notes.append(f"shape known only at run time: {', '.join(open_names[:5])}{_more(open_names)}")
    return editor.finish()


def _more(names: List[str]) -> str:
    return f" and {len(names) - 5} more" if len(names) > 5 else ""


def _flat(scope: Scope, node: Any) -> Optional[List[Optional[Extent]]]:
    shape = extents(scope, node.input[0])
    if shape is None:
        return None
    axis = attribute(node, "axis", 1)
    axis += len(shape) if axis < 0 else 0
    return [multiply(shape[:axis]), multiply(shape[axis:])]


def _reshaped(scope: Scope, values: ShapeValues, node: Any) -> Optional[List[Optional[Extent]]]:
    """The extents of a Reshape's result, None for one that is not known."""
    asked = values.get(node.input[1])
    if asked is None or asked.scalar:
        return None
    source = extents(scope, node.input[0])
    result: List[Optional[Extent]] = list(asked.elements)
    rest = [place for place, extent in enumerate(result) if as_int(extent) == -1]
    for place, extent in enumerate(result):
        if as_int(extent) == 0:
            if attribute(node, "allowzero", 0) or source is None or place >= len(source):
                return None  # an extent of 0 as such: nothing to gain on an empty tensor
            result[place] = source[place]
    if len(rest) == 1:
        others = multiply([extent for place, extent in enumerate(result) if place != rest[0]])
        result[rest[0]] = divide(multiply(source), others) if source is not None else None
    return result


def _written(source: Optional[List[Extent]], target: List[Optional[Extent]]) -> Optional[List[int]]:
    """The constant for a Reshape of ``source`` to ``target``; None where it takes more than one -1."""
    numbers = [as_int(extent) for extent in target]
    if any(number is not None and number < 1 for number in numbers):
        return None
    shape = [-1 if number is None else number for number in numbers]
    unknown = [place for place, number in enumerate(numbers) if number is None]
    for place in unknown if len(unknown) > 1 else []:
        if source is not None and place < len(source) and target[place] == source[place]:
            shape[place] = 0
    return shape if shape.count(-1) <= 1 else None


def _write_values(editor: Editor, scope: Scope, values: ShapeValues) -> int:
    """Makes constants of the tensors that are known whole; those who read them find them under the same name."""
    onnx = require("onnx", "export")
    written = 0
    for name in values.found:
        numbers = values.integers(name)
        _place, node = scope.producer(name)
        if numbers is None or Scope.OUTPUT in scope.users.get(name, []) or scope.tensor(name) is not None:
            continue
        readers = [scope.nodes[user] for user in scope.users.get(name, [])]
        readers = [reader for reader in readers if name in reader.input or nested(reader)]
        if all(any(output in values.found for output in reader.output) for reader in readers):
            continue  # only on the way to another value
        dtype = onnx.helper.tensor_dtype_to_np_dtype(scope.type(name) or onnx.TensorProto.INT64)
        array = np.array(numbers, dtype)
        scope.graph.initializer.append(
            onnx.numpy_helper.from_array(array.reshape(()) if values.found[name].scalar else array, name)
        )
        node.output[list(node.output).index(name)] = editor.name(f"{name}/computed")
        written += 1
    return written
