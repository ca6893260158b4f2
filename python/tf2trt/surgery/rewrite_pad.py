"""Writes forms of Pad, and the Compress behind TensorFlow's symmetric padding, that TensorRT lacks as Gather.

Its parsers take constant, reflect and edge, and negative pads (onnx-tensorrt's importers, branches 8.5-GA, 8.6-GA and
10.1-GA; TensorRT-RTX 1.7.1 as tests/python/test_surgery_rewrite_pad.py measures). ``wrap`` came with 10, ``axes`` with
10 as a constant; none has Compress.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from tf2trt.surgery.edit import Editor
from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.functions import opset_of
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["rewrite_pad"]


def rewrite_pad(model: Any, notes: List[str]) -> Any:
    """Makes constant ``axes`` of a Pad a full list, and of a Pad that wraps, or a Compress, a Gather by constants.

    Pads that wrap must be constants and the extents that they lengthen known; Compress needs a constant condition.
    What remains is named in the notes.
    """
    if opset_of(model) < 11:
        return model
    model = infer_shapes(model)
    editor = Editor(model)
    done: Dict[str, int] = {}
    for scope in scopes(model):
        for index, node in enumerate(scope.nodes):
            if node.op_type not in ("Pad", "Compress") or node.domain not in ("", "ai.onnx"):
                continue
            if node.op_type == "Pad":
                _all_axes(editor, scope, node, done)
            what = "Compress" if node.op_type == "Compress" else _what(node)
            if what is None:
                continue
            new = _compress(editor, scope, node) if node.op_type == "Compress" else _wrap(editor, scope, node)
            if new is None or (what != "Compress" and what != "Pad wrap"):
                notes.append(f"left alone, TensorRT may refuse it: {node.name or node.output[0]}: {what}")
                continue
            editor.replace(scope, index, new)
            done[what] = done.get(what, 0) + 1
    for what, count in sorted(done.items(), reverse=True):
        notes.insert(0, f"{count} {what} rewritten")
    return editor.finish()


def _what(node: Any) -> Optional[str]:
    """What TensorRT lacks; None where it takes the node."""
    if attribute(node, "mode", b"constant") == b"wrap":
        return "Pad wrap"
    return "Pad with axes" if len(node.input) > 3 and node.input[3] else None


def _all_axes(editor: Editor, scope: Scope, node: Any, done: Dict[str, int]) -> None:
    """Pads for all axes instead of some, where they are constants."""
    if len(node.input) < 4 or not node.input[3]:
        return
    pads, axes, dims = scope.integers(node.input[1]), scope.integers(node.input[3]), scope.dims(node.input[0])
    if pads is None or axes is None or dims is None:
        return
    whole = np.zeros((2, len(dims)), np.int64)
    whole[:, axes] = np.reshape(pads, (2, -1))
    name = editor.constant(scope, f"{node.name or node.output[0]}/pads", whole.ravel())
    scope.initializers[name] = scope.graph.initializer[-1]
    value = [node.input[2]] if node.input[2] else []
    node.input[:] = [node.input[0], name, *value]
    done["Pad with axes"] = done.get("Pad with axes", 0) + 1


def _wrap(editor: Editor, scope: Scope, node: Any) -> Optional[List[Any]]:
    pads, dims = scope.integers(node.input[1]), scope.dims(node.input[0])
    if pads is None or dims is None or len(pads) != 2 * len(dims) or not any(pads):
        return None
    steps = []
    for axis, (before, after) in enumerate(zip(pads, pads[len(dims) :])):
        length = dims[axis]
        if not before and not after:
            continue
        if not isinstance(length, int) or length < 1:
            return None
        # What a negative pad takes away is not there to be repeated.
        kept = np.arange(max(0, -before), length - max(0, -after))
        steps.append((axis, np.pad(kept, (max(0, before), max(0, after)), "wrap")))
    nodes: List[Any] = []
    x = node.input[0]
    for axis, indices in steps:
        last = axis == steps[-1][0]
        y = node.output[0] if last else editor.name(f"{node.output[0]}/axis{axis}")
        operand = editor.constant(scope, f"{node.output[0]}/indices{axis}", indices)
        nodes.append(editor.node("Gather", [x, operand], [y], f"{node.name or y}/axis{axis}", axis=axis))
        x = y
    return nodes


def _compress(editor: Editor, scope: Scope, node: Any) -> Optional[List[Any]]:
    condition, axis = scope.array(node.input[1]), attribute(node, "axis")
    if condition is None or axis is None:
        return None
    operand = editor.constant(scope, f"{node.output[0]}/indices", np.flatnonzero(condition))
    base = f"{node.name or node.output[0]}/gather"
    return [editor.node("Gather", [node.input[0], operand], [node.output[0]], base, axis=axis)]
