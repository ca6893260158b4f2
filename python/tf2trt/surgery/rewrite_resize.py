"""Writes forms of Resize that TensorRT lacks in other ways.

What TensorRT's parsers take, from the importers and docs/operators.md of onnx-tensorrt (branches 8.5-GA, 8.6-GA and
10.1-GA), and as measured with TensorRT-RTX 1.7.1 in tests/python/test_surgery_rewrite_resize.py:

    ==============================  =====================  ======  ==============
    Resize                          8.5, 8.6               10.1    RTX 1.7
    ==============================  =====================  ======  ==============
    half_pixel, asymmetric,         yes                    yes     yes
    pytorch_half_pixel,
    align_corners
    tf_half_pixel_for_nn, nearest:
      round_prefer_floor            yes                    yes     yes
      floor and others              no                     wrong   no
    tf_half_pixel_for_nn, others    wrong (half_pixel)     wrong   wrong
    half_pixel_symmetric,           no                     no      no
    tf_crop_and_resize
    floor, ceil, round_prefer_*     yes                    yes     yes
    exclude_outside, cubic_coeff_a  yes                    yes     yes
    antialias                       ignored                no      no
    axes                            no                     yes     not with sizes
    keep_aspect_ratio_policy        ignored                no      no
    linear beyond the last 3 axes   no                     no      no
    cubic beyond the last 2 axes    no                     no      no
    types but FP32, FP16 (BF16)     no                     no      no
    ==============================  =====================  ======  ==============

tf2onnx writes ``tf.image.resize(method="nearest")`` and Keras 2's UpSampling2D as tf_half_pixel_for_nn with floor.
"""

from __future__ import annotations

from math import floor
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.edit import Editor
from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.functions import opset_of
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.resize_matrix import AxisStep, apply, indices, matrix
from tf2trt.surgery.shape_values import Extent, ShapeValues, as_int, extents
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["rewrite_resize"]

_TAKEN = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
_MAX_BYTES = 16 << 20  # of a matrix; a larger one would cost more than it gives

# floor((i + 0.5) / s), which is what the first mode computes, is (i + 0.5) / s - 0.5 rounded with halves up.
_SAME_AS_HALF_PIXEL = {"floor": "round_prefer_ceil", "round_prefer_floor": "ceil"}


def rewrite_resize(model: Any, notes: List[str]) -> Any:
    """Rewrites each Resize that TensorRT refuses or computes otherwise; what it takes stays.

    ``nearest`` in TensorFlow's mode becomes half_pixel with the rounding that gives the same; ``axes`` become a full
    list. Anything else becomes, for each axis that changes, a Gather with constant indices (``nearest``) or a MatMul
    with a constant matrix, which takes known extents. What remains is named in the notes with the reason.
    """
    opset = opset_of(model)
    if opset < 11:
        return model
    model = infer_shapes(model)
    editor = Editor(model)
    seen: Dict[int, ShapeValues] = {}
    done: Dict[str, int] = {}
    for scope in scopes(model):
        values = seen[id(scope)] = ShapeValues(scope, seen.get(id(scope.outer)))
        for index, node in enumerate(scope.nodes):
            if node.op_type != "Resize" or node.domain not in ("", "ai.onnx"):
                continue
            _to_half_pixel(scope, values, node, done)
            problem = _problem(scope, values, node)
            if problem is None:
                continue
            new = _by_axes(editor, scope, values, node, opset)
            if new is None and problem == "axes":
                new = _full(editor, scope, values, node)
            if new is None:
                notes.append(
                    f"left alone, TensorRT may refuse it: {node.name or node.output[0]}: Resize with {problem}"
                )
                continue
            editor.replace(scope, index, new)
            done[problem] = done.get(problem, 0) + 1
    for problem, count in sorted(done.items(), reverse=True):
        notes.insert(0, f"{count} Resize with {problem} rewritten")
    return editor.finish()


def _text(node: Any, name: str, default: str) -> str:
    value = attribute(node, name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def _set(node: Any, **attributes: Any) -> None:
    """Sets attributes of a node, or takes away those that are None."""
    kept = [item for item in node.attribute if item.name not in attributes]
    made = require("onnx.helper", "export").make_node("_", [], [], **{k: v for k, v in attributes.items() if v})
    kept = [*kept, *made.attribute]
    del node.attribute[:]
    node.attribute.extend(kept)


def _input(node: Any, place: int) -> str:
    return node.input[place] if len(node.input) > place else ""


def _has(scope: Scope, node: Any, place: int) -> bool:
    """Whether an input is given. tf2onnx gives an empty tensor for what is not."""
    name = _input(node, place)
    tensor = scope.tensor(name) if name else None
    return bool(name) and not (tensor is not None and 0 in tensor.dims)


def _to_half_pixel(scope: Scope, values: ShapeValues, node: Any, done: Dict[str, int]) -> None:
    """Modes that are half_pixel under another name."""
    coordinates = _text(node, "coordinate_transformation_mode", "half_pixel")
    rounding = _text(node, "nearest_mode", "round_prefer_floor")
    if coordinates == "tf_half_pixel_for_nn" and _text(node, "mode", "nearest") == "nearest":
        if rounding in _SAME_AS_HALF_PIXEL:
            _set(node, coordinate_transformation_mode="half_pixel", nearest_mode=_SAME_AS_HALF_PIXEL[rounding])
            done[coordinates] = done.get(coordinates, 0) + 1
    elif coordinates == "half_pixel_symmetric" and _text(node, "keep_aspect_ratio_policy", "stretch") == "stretch":
        # They differ where the new length is not the factor times the old one.
        scales = scope.array(node.input[2]) if _has(scope, node, 2) else None
        if _has(scope, node, 3) or (scales is not None and (scales == np.round(scales)).all()):
            _set(node, coordinate_transformation_mode="half_pixel")
            done[coordinates] = done.get(coordinates, 0) + 1


def _problem(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    """What TensorRT does not take; None where it takes the node."""
    types = require("onnx", "export").TensorProto
    mode = _text(node, "mode", "nearest")
    coordinates = _text(node, "coordinate_transformation_mode", "half_pixel")
    policy = _text(node, "keep_aspect_ratio_policy", "stretch")
    if coordinates not in _TAKEN:
        return f"{coordinates}, {mode}"
    if attribute(node, "antialias", 0) and mode != "nearest":
        return f"antialias, {mode}"
    if policy != "stretch" and _has(scope, node, 3):
        return f"keep_aspect_ratio_policy {policy}"
    kind = scope.type(node.input[0])
    if kind and kind not in (types.FLOAT, types.FLOAT16, types.BFLOAT16):
        return f"elements of type {types.DataType.Name(kind)}"
    steps, dims = _steps(scope, values, node), scope.dims(node.input[0])
    last = {"linear": 3, "cubic": 2}.get(mode)
    if steps and last and dims is not None and min(steps) < len(dims) - last:
        return f"{mode} beyond the last {last} axes"
    return "axes" if attribute(node, "axes") is not None else None


def _steps(scope: Scope, values: ShapeValues, node: Any) -> Optional[Dict[int, AxisStep]]:
    """What happens along each axis that may change; None where it is not known before the model runs."""
    source = extents(scope, node.input[0])
    if source is None:
        return None
    axes = [axis % len(source) for axis in attribute(node, "axes", list(range(len(source))))]
    asked: List[Any]
    if _has(scope, node, 3):
        sizes = values.get(node.input[3])
        if sizes is None:
            return None
        asked = [None if size == source[axis] else as_int(size) or size for axis, size in zip(axes, sizes.elements)]
        if _text(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
            asked = _kept_ratio(node, [source[axis] for axis in axes], list(sizes.elements)) or ["?"]
    else:
        scales = scope.array(node.input[2]) if _has(scope, node, 2) else None
        if scales is None:
            return None
        asked = [None if scale == 1 else float(scale) for scale in scales]
    if len(asked) != len(axes) or any(not isinstance(step, (int, float, type(None))) for step in asked):
        return None
    windows: List[Any] = [None] * len(axes)
    if _text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        roi = scope.array(node.input[1]) if _has(scope, node, 1) else None
        if roi is None or len(roi) != 2 * len(axes):
            return None
        windows = [(float(roi[place]), float(roi[len(axes) + place])) for place in range(len(axes))]
        # Where an axis keeps its length ONNX Runtime, which is asked for the indices, does not look at the window.
        kept = [step is None or step == as_int(source[axis]) for axis, step in zip(axes, asked)]
        if any(keeps and window != (0, 1) for keeps, window in zip(kept, windows)):
            return None
    return {axis: (step, window) for axis, step, window in zip(axes, asked, windows) if step is not None}


def _kept_ratio(node: Any, source: Sequence[Extent], sizes: Sequence[Optional[Extent]]) -> Optional[List[Any]]:
    """The one factor for all axes, where it gives the very lengths that ONNX asks for."""
    lengths, wanted = [as_int(extent) for extent in source], [as_int(size) for size in sizes]
    pairs = [(length, size) for length, size in zip(lengths, wanted) if length and size]
    if len(pairs) < len(lengths):
        return None
    pick = min if _text(node, "keep_aspect_ratio_policy", "stretch") == "not_larger" else max
    factor = float(np.float32(pick(size / length for length, size in pairs)))
    same = all(int(np.float32(factor) * length) == floor(factor * length + 0.5) for length, _ in pairs)
    return [factor] * len(pairs) if same else None


def _by_axes(editor: Editor, scope: Scope, values: ShapeValues, node: Any, opset: int) -> Optional[List[Any]]:
    """A Gather or a MatMul for each axis that changes."""
    onnx = require("onnx", "export")
    steps, dims, kind = _steps(scope, values, node), scope.dims(node.input[0]), scope.type(node.input[0])
    nearest = _text(node, "mode", "nearest") == "nearest"
    if not steps or dims is None or (_problem(scope, values, node) == "axes" and not nearest):
        return None
    if attribute(node, "extrapolation_value", 0.0) and not nearest:
        return None
    if not nearest and kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
        return None
    operands = []
    for axis, step in steps.items():
        length = dims[axis]
        if not isinstance(length, int) or length < 1:
            return None
        operand = (indices if nearest else matrix)(node, opset, length, step)
        if operand is None or operand.nbytes > _MAX_BYTES:
            return None
        if not nearest:
            operand = operand.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
            operand = operand.T if axis == len(dims) - 2 else operand
        operands.append((axis, operand))
    nodes: List[Any] = []
    x = node.input[0]
    for place, (axis, operand) in enumerate(operands):
        y = node.output[0] if place == len(operands) - 1 else editor.name(f"{node.output[0]}/axis{axis}")
        name = editor.constant(scope, f"{node.output[0]}/{'indices' if nearest else 'weights'}{axis}", operand)
        nodes.extend(apply(editor, node, x, y, axis, len(dims), name, nearest))
        x = y
    return nodes


def _full(editor: Editor, scope: Scope, values: ShapeValues, node: Any) -> Optional[List[Any]]:
    """The same node with a factor or a size for every axis instead of ``axes``."""
    shape = extents(scope, node.input[0])
    if shape is None:
        return None
    axes = [axis % len(shape) for axis in attribute(node, "axes")]
    others = [axis for axis in range(len(shape)) if axis not in axes]
    base, x = node.name or node.output[0], node.input[0]
    nodes: List[Any] = []
    if not _has(scope, node, 3):
        scales = scope.array(node.input[2]) if _has(scope, node, 2) else None
        if scales is None:
            return None
        whole = np.ones(len(shape), np.float32)
        whole[axes] = scales
        inputs = [x, "", editor.constant(scope, f"{base}/scales", whole)]
    else:
        sizes = node.input[3]
        if others:
            names = [editor.name(f"{base}/{what}") for what in ("shape", "others", "unordered", "sizes")]
            at = editor.constant(scope, f"{base}/other_axes", np.array(others))
            order = editor.constant(scope, f"{base}/order", np.argsort(others + axes))
            nodes = [
                editor.node("Shape", [x], [names[0]], f"{base}/shape"),
                editor.node("Gather", [names[0], at], [names[1]], f"{base}/others", axis=0),
                editor.node("Concat", [names[1], sizes], [names[2]], f"{base}/unordered", axis=0),
                editor.node("Gather", [names[2], order], [names[3]], f"{base}/sizes", axis=0),
            ]
            sizes = names[3]
        elif axes != sorted(axes):
            return None
        inputs = [x, "", "", sizes]
    node.input[:] = inputs
    _set(node, axes=None)
    return [*nodes, node]
