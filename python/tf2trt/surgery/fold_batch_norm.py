"""Folds batch normalisation, and products and sums by channel, into the weights before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from tf2trt.surgery.edit import Editor
from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["fold_batch_norm"]

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_BLOCK = 1 << 20  # elements that are computed in FP64 at a time
_FLOATS = ("float16", "float32", "float64")


def fold_batch_norm(model: Any, notes: List[str]) -> Any:
    """Folds what scales or shifts each channel of a Conv, ConvTranspose, Gemm or MatMul into its weights and bias.

    That is BatchNormalization in inference, and Mul, Div, Add and Sub by a constant with one value or one for each
    channel: tf2onnx writes some batch normalisations so. The layer's weights must be constants and nobody else may
    read its result. New weights are computed in FP64 and rounded once, to the weights' type; other users of the old
    ones keep them. A shift after MatMul, which has no bias, stays an Add.
    """
    model = infer_shapes(model)
    editor = Editor(model)
    norms = others = stay = 0
    for scope in scopes(model):
        done, removed = _fold_scope(editor, scope, notes)
        norms += done["BatchNormalization"]
        others += done["other"]
        stay += sum(
            node.op_type == "BatchNormalization" and index not in removed for index, node in enumerate(scope.nodes)
        )
        for index in removed:
            editor.replace(scope, index, [])
    if others:
        notes.insert(0, f"{others} Mul, Div, Add or Sub by channel folded")
    if norms or stay:
        notes.insert(0, f"{norms} batch normalisations folded, {stay} stay")
    return editor.finish()


@dataclass
class _Layer:
    """A layer with constant weights, and the Add of a constant behind a MatMul."""

    node: Any
    weights: Any
    bias: Any  # an array, None where there is none
    bias_node: Any  # the Add, if any

    @property
    def channels(self) -> int:
        """How many outputs the layer has."""
        shape = self.weights.shape
        if self.node.op_type == "ConvTranspose":
            return int(shape[1]) * int(attribute(self.node, "group", 1))
        if self.node.op_type == "Gemm":
            return int(shape[0 if attribute(self.node, "transB", 0) else 1])
        return int(shape[0] if self.node.op_type == "Conv" else shape[1])


def _fold_scope(editor: Editor, scope: Scope, notes: List[str]) -> Tuple[Dict[str, int], List[int]]:
    done = {"BatchNormalization": 0, "other": 0}
    removed: List[int] = []
    for index, node in enumerate(scope.nodes):
        if node.domain not in ("", "ai.onnx"):
            continue
        place = _variable(scope, node)
        layer = _layer(scope, node.input[place]) if place is not None else None
        if layer is None or place is None:
            continue
        affine = _affine(scope, node, place, layer)
        if affine is None:
            continue
        if node.op_type == "Add" and layer.node.op_type == "MatMul" and layer.bias_node is None:
            continue  # that is how a MatMul's bias is written
        weights, bias = _folded(layer, *affine)
        if weights is None:
            notes.append(f"left alone: {node.name or node.output[0]}: the folded weights do not fit their type")
            continue
        done["BatchNormalization" if node.op_type == "BatchNormalization" else "other"] += 1
        if _rewrite(editor, scope, layer, node, weights, bias):
            removed.append(index)
    return done, removed


def _variable(scope: Scope, node: Any) -> Optional[int]:
    """Which input of a node that may be folded is no constant; None for other nodes."""
    if node.op_type == "BatchNormalization":
        training = attribute(node, "training_mode", 0) or any(node.output[1:])
        constant = all(scope.tensor(name) is not None for name in node.input[1:])
        return 0 if constant and not training and scope.tensor(node.input[0]) is None else None
    if node.op_type not in ("Mul", "Add", "Sub", "Div"):
        return None
    known = [scope.tensor(name) is not None for name in node.input]
    if known == [False, True]:
        return 0
    return 1 if known == [True, False] and node.op_type != "Div" else None


def _layer(scope: Scope, name: str) -> Optional[_Layer]:
    """The layer that makes ``name``, for one reader only."""
    node = _only(scope, name)
    if node is None:
        return None
    if node.op_type == "Add":
        place = _variable(scope, node)
        layer = _layer(scope, node.input[place]) if place is not None else None
        if layer is None or place is None or layer.node.op_type != "MatMul" or layer.bias_node is not None:
            return None
        bias = _by_channel(scope, node.input[1 - place], node.output[0], layer)
        return None if bias is None else _Layer(layer.node, layer.weights, bias, node)
    weights = scope.array(node.input[1]) if node.op_type in _LAYERS else None
    if weights is None or weights.dtype.name not in _FLOATS or (node.op_type == "MatMul" and weights.ndim != 2):
        return None
    layer = _Layer(node, weights, None, None)
    if len(node.input) > 2 and node.input[2]:
        array = scope.array(node.input[2])
        if (
            array is None
            or array.ndim > 2
            or array.size not in (1, layer.channels)
            or array.shape[:-1] not in ((), (1,))
        ):
            return None
        layer.bias = np.broadcast_to(array.astype(np.float64).ravel(), layer.channels)
        if node.op_type == "Gemm":
            layer.bias = layer.bias * attribute(node, "beta", 1.0)
    return layer


def _only(scope: Scope, name: str) -> Any:
    """The node that makes ``name``, where one node reads it and it is no output."""
    users = scope.users.get(name, [])
    node = scope.producer(name)[1]
    ok = len(users) == 1 and users[0] != Scope.OUTPUT and node is not None and node.domain in ("", "ai.onnx")
    return node if ok else None


def _affine(scope: Scope, node: Any, place: int, layer: _Layer) -> Optional[Tuple[Any, Any]]:
    """What ``node`` multiplies each channel by and what it adds then."""
    one, zero = np.ones(layer.channels), np.zeros(layer.channels)
    if node.op_type == "BatchNormalization":
        dims = scope.dims(node.output[0])
        if layer.node.op_type == "MatMul" and (dims is None or len(dims) != 2):
            return None  # its channels are the second axis, a MatMul's outputs are the last
        scale, shift, mean, variance = (scope.array(name).astype(np.float64) for name in node.input[1:])
        factor = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        return factor, shift - mean * factor
    value = _by_channel(scope, node.input[1 - place], node.output[0], layer)
    if value is None or (node.op_type == "Div" and not value.all()):
        return None
    if node.op_type in ("Mul", "Div"):
        return (value if node.op_type == "Mul" else one / value), zero
    if node.op_type == "Sub":
        return (one, -value) if place == 0 else (-one, value)
    return one, value


def _by_channel(scope: Scope, name: str, result: str, layer: _Layer) -> Any:
    """A constant as one FP64 value for each of the layer's outputs; None where it is something else."""
    value = scope.array(name)
    if value is None or value.dtype != layer.weights.dtype:
        return None
    kind = layer.node.op_type
    dims = scope.dims(result)
    rank = layer.weights.ndim if kind != "MatMul" else len(dims) if dims is not None else 1
    axis = 1 if kind in ("Conv", "ConvTranspose") else rank - 1
    if value.ndim > rank:
        return None
    shape = (1,) * (rank - value.ndim) + value.shape
    if shape[axis] not in (1, layer.channels) or any(extent != 1 for at, extent in enumerate(shape) if at != axis):
        return None
    return np.broadcast_to(value.astype(np.float64).ravel(), layer.channels)


def _folded(layer: _Layer, factor: Any, shift: Any) -> Tuple[Any, Any]:
    """The new weights and bias (None for none), in the old weights' type; no weights where they do not fit it."""
    old = layer.weights
    shape = [1] * old.ndim
    if layer.node.op_type == "ConvTranspose":  # (inputs, outputs of a group, ...), the groups one after the other
        groups = int(attribute(layer.node, "group", 1))
        by_group, factors = old.reshape(groups, -1, *old.shape[1:]), factor.reshape(groups, 1, -1, *shape[2:])
    else:
        outputs_first = layer.node.op_type == "Conv" or (
            layer.node.op_type == "Gemm" and attribute(layer.node, "transB", 0)
        )
        shape[0 if outputs_first else 1] = -1
        by_group, factors = old[None], factor.reshape(shape)[None]
    bias = shift if layer.bias is None else layer.bias * factor + shift
    new, new_bias = np.empty_like(by_group), bias.astype(old.dtype)
    size = error = 0.0  # squares of norms
    rows = max(1, _BLOCK * by_group.shape[1] // max(1, by_group.size))
    for start in range(0, by_group.shape[1], rows):
        part = np.s_[:, start : start + rows]
        some = factors if factors.shape[1] == 1 else factors[part]
        exact = by_group[part].astype(np.float64) * some
        with np.errstate(over="ignore", invalid="ignore"):
            new[part] = exact
            size += float(np.sum(exact * exact))
            error += float(np.sum(np.square(new[part] - exact)))  # NaN or infinite where a weight is
    # Not so where FP16 runs out below: factors can be very small.
    if not np.isfinite([error, *new_bias]).all() or error > float(np.finfo(old.dtype).eps) ** 2 * size:
        return None, None
    return new.reshape(old.shape), (new_bias if layer.bias is not None or new_bias.any() else None)


def _rewrite(editor: Editor, scope: Scope, layer: _Layer, node: Any, weights: Any, bias: Any) -> bool:
    """Gives the layer its new weights and the result of ``node``; whether ``node`` is to go."""
    layer.node.input[1] = _replace(editor, scope, f"{layer.node.name or layer.node.output[0]}/weights", weights)
    last = layer.node
    if layer.node.op_type == "MatMul":
        if bias is None:
            _hand_over(scope, layer.node, node)
            return True
        operand = _replace(editor, scope, f"{node.output[0]}/bias", bias)
        if layer.bias_node is None:
            del node.attribute[:]
            node.op_type = "Add"
            node.input[:] = [layer.node.output[0], operand]
            return False
        layer.bias_node.input[:] = [layer.node.output[0], operand]
        last = layer.bias_node
    elif bias is not None:
        operand = _replace(editor, scope, f"{layer.node.name or layer.node.output[0]}/bias", bias)
        layer.node.input[2:] = [operand]
        for item in layer.node.attribute:
            if item.name == "beta":
                item.f = 1.0
    _hand_over(scope, last, node)
    return True


def _replace(editor: Editor, scope: Scope, base: str, value: Any) -> str:
    """Adds a constant that the scope knows at once: the next node may be folded into the same layer."""
    name = editor.constant(scope, base, value)
    scope.initializers[name] = scope.graph.initializer[-1]
    return name


def _hand_over(scope: Scope, maker: Any, node: Any) -> None:
    """``maker`` makes what ``node`` made."""
    result = node.output[0]
    scope.producers[result] = scope.producers[maker.output[0]]
    maker.output[0] = result
