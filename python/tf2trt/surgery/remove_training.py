"""Takes out what training left, and arithmetic that changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from tf2trt.surgery.edit import Editor
from tf2trt.surgery.nodes import attribute, label
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.shape_values import Extent, ShapeValues, extents
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["remove_training"]


def remove_training(model: Any, notes: List[str]) -> Any:
    """Removes Dropout that drops nothing, and nodes whose result is their input, which constants and shapes prove.

    These are: Mul and Div by 1, Add and Sub of 0, Pow with 1, Transpose to the same order, Reshape and Expand to the
    own shape, Pad by nothing, Slice of everything, Tile by 1, Concat, Sum, Max, Min and Mean of one tensor, reductions
    over no axis. Adding 0.0 makes 0.0 of -0.0; that this is lost is accepted. What still trains (Dropout,
    BatchNormalization with ``training_mode``) computes something random or by batch and is named in the notes.
    """
    model = infer_shapes(model)
    editor = Editor(model)
    seen: Dict[int, ShapeValues] = {}
    removed: Dict[str, int] = Counter()
    for scope in scopes(model):
        values = seen[id(scope)] = ShapeValues(scope, seen.get(id(scope.outer)))
        for index, node in enumerate(scope.nodes):
            if node.domain not in ("", "ai.onnx"):
                continue
            rule = _RULES.get(node.op_type)
            source = rule(scope, values, node) if rule is not None else None
            if source and _bypass(editor, scope, index, source):
                removed[node.op_type] += 1
            elif _trains(scope, node):
                notes.append(f"still in training mode, which TensorRT lacks: {label(node)}")
    if removed:
        counts = ", ".join(f"{count} {op}" for op, count in sorted(removed.items()))
        notes.insert(0, f"without effect and removed: {counts}")
    return editor.finish()


def _trains(scope: Scope, node: Any) -> bool:
    if node.op_type == "BatchNormalization":
        return bool(attribute(node, "training_mode", 0))
    if node.op_type != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    return scope.tensor(node.input[2]) is None or bool(scope.array(node.input[2]).any())


def _bypass(editor: Editor, scope: Scope, index: int, source: str) -> bool:
    """Hands ``source`` to those who read the node's result. False, and nothing done, where a name would be lost."""
    result = scope.nodes[index].output[0]
    users = scope.users.get(result, [])
    if Scope.OUTPUT in users:
        # The output keeps its name: who makes `source` writes it directly, where nobody else knows `source`.
        place, maker = scope.producer(source)
        if maker is None or scope.users.get(source) != [index]:
            return False
        maker.output[list(maker.output).index(source)] = result
        scope.producers[result] = place
        editor.replace(scope, index, [])
        return True
    readers = [scope.nodes[user] for user in users]
    if any(result not in reader.input for reader in readers):
        return False  # the body of an If or Loop reads it
    for reader in readers:
        for place, name in enumerate(reader.input):
            if name == result:
                reader.input[place] = source
    scope.users[source] = [user for user in scope.users.get(source, []) if user != index] + users
    editor.replace(scope, index, [])
    return True


_Rule = Callable[[Scope, ShapeValues, Any], Optional[str]]  # which input the result is; None where it is none


def _same_shape(scope: Scope, name: str, other: str) -> bool:
    first, second = extents(scope, name), extents(scope, other)
    return first is not None and first == second


def _kept(scope: Scope, node: Any, source: str) -> Optional[str]:
    """``source`` if the result has its very shape: no other operand made it larger."""
    constant = next((scope.tensor(name) for name in node.input if name != source), None)
    dims = scope.dims(source)
    if constant is not None and dims is not None and len(constant.dims) <= len(dims) and set(constant.dims) <= {1}:
        return source
    return source if _same_shape(scope, source, node.output[0]) else None


def _neutral(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    """Mul, Div, Add, Sub and Pow with a constant that changes nothing."""
    neutral = 0 if node.op_type in ("Add", "Sub") else 1
    pairs = [(node.input[0], node.input[1])]
    if node.op_type in ("Add", "Mul"):
        pairs.append((node.input[1], node.input[0]))
    for source, operand in pairs:
        array = scope.array(operand)
        if array is not None and array.size and (array == neutral).all() and scope.tensor(source) is None:
            return _kept(scope, node, source)
    return None


def _dropout(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    if any(name and scope.users.get(name) for name in node.output[1:]):
        return None
    no_ratio = len(node.input) > 1 and node.input[1] and scope.scalar(node.input[1]) == 0
    return node.input[0] if no_ratio or not _trains(scope, node) else None


def _transpose(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    perm, dims = attribute(node, "perm"), scope.dims(node.input[0])
    if perm is None:
        return node.input[0] if dims is not None and len(dims) < 2 else None
    return node.input[0] if list(perm) == sorted(perm) else None


def _reshape(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    """Reshape and Expand."""
    source, target = extents(scope, node.input[0]), values.get(node.input[1])
    if source is None or target is None or target.scalar or 0 in [extent.factor for extent in source]:
        return None
    asked = list(target.elements)
    if node.op_type == "Expand":
        asked = [*source[: len(source) - len(asked)], *asked]
        same = len(asked) == len(source) and all(a in (b, Extent(1)) for a, b in zip(asked, source))
        return node.input[0] if same else None
    free = [place for place, extent in enumerate(asked) if extent == Extent(-1)]
    zeros = [extent == Extent(0) and not attribute(node, "allowzero", 0) for extent in asked]
    same = len(asked) == len(source) and len(free) < 2
    same = same and all(
        zero or place in free or extent == source[place] for place, (extent, zero) in enumerate(zip(asked, zeros))
    )
    return node.input[0] if same else None


def _pad(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    pads = values.integers(node.input[1]) if len(node.input) > 1 else attribute(node, "pads")
    return node.input[0] if pads is not None and not any(pads) else None


def _slice(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    if len(node.input) < 3:
        return None
    starts, ends = values.integers(node.input[1]), values.integers(node.input[2])
    given = [values.integers(name) if name else [] for name in [*node.input[3:], "", ""]]
    source = extents(scope, node.input[0])
    if starts is None or ends is None or source is None or given[0] is None or given[1] is None:
        return None
    axes = given[0] or list(range(len(starts)))
    if any(start != 0 for start in starts) or any(step != 1 for step in given[1]):
        return None
    whole = all(
        end >= np.iinfo(np.int32).max or (not source[axis].names and end >= source[axis].factor)
        for axis, end in zip(axes, ends)
    )
    return node.input[0] if whole else None


def _tile(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    repeats = values.integers(node.input[1])
    return node.input[0] if repeats is not None and set(repeats) <= {1} else None


def _one(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    return node.input[0] if len(node.input) == 1 else None


def _reduce(scope: Scope, values: ShapeValues, node: Any) -> Optional[str]:
    """Over no axis, which opset 18 (13 for ReduceSum) can ask for, or over axes of 1 that stay. But not a sum over
    those: an l2 normalisation of single elements is known by it.
    """
    axes = attribute(node, "axes")
    if len(node.input) > 1 and node.input[1]:
        axes = values.integers(node.input[1])
        if axes is None:
            return None
    if not axes:
        return node.input[0] if attribute(node, "noop_with_empty_axes", 0) else None
    source = extents(scope, node.input[0])
    if source is None or not attribute(node, "keepdims", 1) or node.op_type == "ReduceSum":
        return None
    return node.input[0] if all(source[axis] == Extent(1) for axis in axes) else None


_RULES: Dict[str, _Rule] = {
    "Dropout": _dropout,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Expand": _reshape,
    "Pad": _pad,
    "Slice": _slice,
    "Tile": _tile,
    **dict.fromkeys(("Mul", "Div", "Add", "Sub", "Pow"), _neutral),
    **dict.fromkeys(("Concat", "Sum", "Max", "Min", "Mean"), _one),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), _reduce),
}
