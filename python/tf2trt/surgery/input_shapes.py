"""Shapes of inputs: static extents made dynamic, and the other way round."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.extras import require
from tf2trt.specs import format_shape
from tf2trt.surgery.bindings import describe, graph_inputs, shape_of, unused_name
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.trial import CannotRunError, random_feed, run
from tf2trt.surgery.whole_graph import difference

__all__ = ["check_shapes", "set_shapes"]

Shape = Tuple[int, ...]
_TIMES = 3  # how many of the old batches go through the graph at once to see whether it is a batch
_TOLERANCE = {"float16": 2e-2}  # relative, between rows computed together and alone: kernels differ by batch size
_DEFAULT_TOLERANCE = 1e-4


def check_shapes(inputs: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    """Raises :class:`UsageError` where a shape cannot be that of its input; ``inputs`` are ValueInfoProto by name."""
    symbols: Dict[str, int] = {}
    for name, wanted in shapes.items():
        value = inputs[name]
        own = shape_of(value)
        if own is not None and len(own) != len(wanted):
            _refuse(value, wanted, f"{len(own)} extents")
        if any(extent != -1 and extent < 1 for extent in wanted):
            _refuse(value, wanted, "extents of 1 or more, and -1 where it is to be dynamic")
        for axis, (extent, before) in enumerate(zip(wanted, own or ())):
            if before not in (-1, extent) and axis > 0:
                _refuse(
                    value,
                    wanted,
                    f"{before} for axis {axis}: of static extents only the first can be changed",
                    "export the model with this axis dynamic",
                )
            symbol = value.type.tensor_type.shape.dim[axis].dim_param
            if extent > 0 and symbol and symbols.setdefault(symbol, extent) != extent:
                _refuse(value, wanted, f"{symbols[symbol]} for axis {axis}, as elsewhere: {symbol!r} is one extent")


def set_shapes(model: Any, shapes: Mapping[str, Shape], notes: List[str]) -> Any:
    """The model with these shapes of its inputs; they passed :func:`check_shapes`. May change ``model``.

    Raises:
        UsageError: the graph has another shape built in.
    """
    values = {value.name: value for value in graph_inputs(model)}
    changed = {name: shape for name, shape in shapes.items() if shape_of(values[name]) != tuple(shape)}
    if not changed:
        return model
    strict = _infers(model)
    before = {name: describe(value) for name, value in values.items()}
    grown = [name for name, shape in changed.items() if _is_static(values[name]) and _batch(values[name]) != shape[0]]
    growing = _check_batch(model, grown) if grown else {}
    fixed = _fixed_symbols(values, changed)
    batch = _batch_symbol(model, [name for name in grown if changed[name][0] == -1])
    for name, value in values.items():
        _write(value, changed.get(name), fixed, batch if name in grown else "")
        if describe(value) != before[name]:
            notes.append(f"the input {before[name]} is now {format_shape(shape_of(value))}")
    return _inferred(model, fixed, growing, changed, strict)


def _is_static(value: Any) -> bool:
    return bool(shape_of(value)) and _batch(value) > 0


def _batch(value: Any) -> int:
    return int(shape_of(value)[0])


def _fixed_symbols(values: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Dict[str, int]:
    """What is now known of symbolic extents: they are equal wherever they have one name."""
    fixed: Dict[str, int] = {}
    for name, wanted in shapes.items():
        for dim, extent in zip(values[name].type.tensor_type.shape.dim, wanted):
            if dim.dim_param and extent > 0:
                fixed[dim.dim_param] = extent
    return fixed


def _batch_symbol(model: Any, names: List[str]) -> str:
    """A name for the new dynamic extent; "" where the inputs did not have one extent before."""
    extents = {_batch(value) for value in graph_inputs(model) if value.name in names}
    taken = {
        dim.dim_param
        for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]
        for dim in value.type.tensor_type.shape.dim
    }
    return unused_name("batch", taken) if len(extents) == 1 else ""


def _write(value: Any, wanted: Optional[Shape], fixed: Mapping[str, int], batch: str) -> None:
    tensor = value.type.tensor_type
    if wanted is not None and not tensor.HasField("shape"):
        for _ in wanted:
            tensor.shape.dim.add()
    for axis, dim in enumerate(tensor.shape.dim):
        extent = fixed.get(dim.dim_param, 0) if wanted is None or wanted[axis] < 0 else wanted[axis]
        if extent > 0:
            dim.dim_value = extent
        elif wanted is not None and dim.HasField("dim_value"):
            dim.Clear()
            if batch:
                dim.dim_param = batch


def _check_batch(model: Any, names: List[str]) -> Dict[str, Tuple[int, int]]:
    """Sees whether the first extents of the inputs ``names`` are a batch: rows computed together are as when alone.

    Returns:
        by output, the axis along which the rows lie and the rank.
    """
    loose = type(model)()
    loose.CopyFrom(model)
    _forget_shapes(loose.graph)
    for value in graph_inputs(loose):
        if value.name in names:
            value.type.tensor_type.shape.dim[0].Clear()
    axes: Dict[str, Tuple[int, int]] = {}
    batches = {_batch(value) for value in graph_inputs(model) if value.name in names}
    try:
        parts = [random_feed(model) for _ in range(_TIMES)]
        for part in parts[1:]:
            part.update({name: array for name, array in parts[0].items() if name not in names})
        together = {name: np.concatenate([part[name] for part in parts]) for name in names}
        wanted = [run(model, part) for part in parts]
    except CannotRunError as error:
        raise _built_in(model, names, f"it cannot be checked: {error}") from error
    try:
        got = run(loose, {**parts[0], **together})
    except CannotRunError as error:
        raise _built_in(model, names, f"ONNX Runtime fails with another: {error}") from error
    for name, result in got.items():
        alone = [part[name] for part in wanted]
        axis = _grown_axis(np.shape(alone[0]), np.shape(result))
        # Along another axis than the first, an extent that was not the batch alone: a flattening of batch and rows.
        if axis is None or (axis > 0 and alone[0].shape[axis] not in batches):
            shapes = f"{format_shape(np.shape(alone[0]))} becomes {format_shape(np.shape(result))}"
            raise _built_in(model, names, f"the output {name!r} does not grow with it, {shapes}")
        error_found = difference(result, np.concatenate(alone, axis))
        allowed = _TOLERANCE.get(str(result.dtype), _DEFAULT_TOLERANCE)
        if not error_found <= allowed:
            raise _built_in(model, names, f"the output {name!r} mixes rows, relative error {error_found:.1e}")
        axes[name] = (axis, result.ndim)
    return axes


def _grown_axis(before: Shape, after: Shape) -> Optional[int]:
    """The one axis along which ``after`` is longer, as often as there were batches."""
    if len(before) != len(after):
        return None
    grown = [axis for axis, (old, new) in enumerate(zip(before, after)) if old != new]
    return grown[0] if len(grown) == 1 and after[grown[0]] == _TIMES * before[grown[0]] else None


def _forget_shapes(graph: Any) -> None:
    """Shapes of inner tensors and outputs, in bodies too: they hold what the inputs were. Types stay known."""
    for value in [*graph.value_info, *graph.output]:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    for node in graph.node:
        for body in nested(node):
            _forget_shapes(body)


def _infers(model: Any) -> bool:
    """Whether shape inference finds no fault, so that a fault that it finds later comes of the new shapes."""
    try:
        infer_shapes(model, strict=True)
    except require("onnx", "export").shape_inference.InferenceError:
        return False
    return True


def _inferred(
    model: Any,
    fixed: Mapping[str, int],
    growing: Mapping[str, Tuple[int, int]],
    shapes: Mapping[str, Shape],
    strict: bool,
) -> Any:
    """``model`` with the shapes that follow from those of its inputs now."""
    inference = require("onnx", "export").shape_inference
    old = type(model.graph)()
    old.output.extend(model.graph.output)
    _forget_shapes(model.graph)
    try:
        model = infer_shapes(model, strict=strict)
    except inference.InferenceError as error:
        raise UsageError(
            "shapes: the graph does not take these",
            received=", ".join(f"{name}:{format_shape(shape)}" for name, shape in shapes.items()),
            hint=str(error).strip()[:300],
        ) from error
    for value, before in zip(model.graph.output, old.output):
        _complete(value, before, fixed, growing)
    return model


def _complete(value: Any, before: Any, fixed: Mapping[str, int], growing: Mapping[str, Tuple[int, int]]) -> None:
    """What was known of an output's shape, where it still holds and inference does not find it."""
    old, new = before.type.tensor_type, value.type.tensor_type
    axis, rank = growing.get(value.name, (-1, len(old.shape.dim)))
    if not new.HasField("shape"):
        if not old.HasField("shape") and value.name not in growing:
            return
        for _ in range(rank):
            new.shape.dim.add()
    for index, (dim, known) in enumerate(zip(new.shape.dim, old.shape.dim)):
        unknown = not dim.HasField("dim_value") and (not dim.dim_param or known.HasField("dim_value"))
        if not unknown or index == axis:
            continue
        if known.dim_param in fixed:
            dim.dim_value = fixed[known.dim_param]
        elif known.HasField("dim_value") or known.dim_param:
            dim.CopyFrom(known)


def _built_in(model: Any, names: List[str], why: str) -> UsageError:
    values = [value for value in graph_inputs(model) if value.name in names]
    return UsageError(
        f"shapes: the first extent of {', '.join(names)} is built into the graph; {why}",
        expected="; ".join(map(describe, values)),
        hint="export the model with a dynamic batch",
    )


def _refuse(value: Any, wanted: Shape, expected: str, hint: Optional[str] = None) -> None:
    raise UsageError(
        f"shapes: {describe(value)} cannot become {format_shape(tuple(wanted))}", expected=expected, hint=hint
    )
