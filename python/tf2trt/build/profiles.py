"""Optimisation profiles against the model's inputs, before TensorRT starts."""

from __future__ import annotations

import math
from typing import List, Mapping, Sequence, Tuple

from tf2trt.errors import UsageError
from tf2trt.specs import ShapeRange, TensorSpec, format_shape

__all__ = ["check_profiles"]

# What the message of a missing profile proposes for a dynamic extent: min, opt, max.
_EXAMPLE = (1, 8, 32)

# What a shape tensor can be of.
_VALUE_DTYPES = ("int32", "int64", "bool")


def check_profiles(inputs: Sequence[TensorSpec], profiles: Sequence[Mapping[str, ShapeRange]]) -> None:
    """Makes sure that every profile gives each dynamic input a range that its static extents allow.

    An entry may hold values instead, where the input could be a shape tensor: one of integers and of a static shape.
    Which inputs are, and so need values, the ONNX file does not say: the builder finds out when TensorRT has parsed it.

    Raises:
        UsageError: an unknown input, a range that contradicts the model, or a dynamic input without a range; then the
            message shows the options to add.
    """
    known = {spec.name: spec for spec in inputs}
    for profile in profiles:
        for name, shapes in profile.items():
            if name not in known:
                raise UsageError(
                    f"the model has no input {name!r}", received=name, expected=", ".join(str(spec) for spec in inputs)
                )
            _check_range(known[name], shapes)
    dynamic = [spec for spec in inputs if any(extent < 0 for extent in spec.shape)]
    for profile in profiles or [{}]:
        missing = [spec for spec in dynamic if spec.name not in profile]
        if missing:
            raise UsageError(
                "the model has inputs of dynamic shape, and no shapes were given for them",
                received=", ".join(str(spec) for spec in missing),
                expected="the smallest, the usual and the largest shape of each",
                hint=f"add these, with your own extents in place of {_EXAMPLE}:\n{_proposal(missing)}",
            )


def _check_range(spec: TensorSpec, shapes: ShapeRange) -> None:
    fits = len(shapes.min) == len(spec.shape) and all(
        low >= 0 if extent < 0 else low == high == extent
        for extent, low, high in zip(spec.shape, shapes.min, shapes.max)
    )
    may_be_values = spec.dtype in _VALUE_DTYPES and all(extent >= 0 for extent in spec.shape)
    count = math.prod(spec.shape)
    if fits or (may_be_values and len(shapes.min) == count):
        return
    values = f"; for a shape tensor, {count} {'value' if count == 1 else 'values'}" if may_be_values else ""
    raise UsageError(
        f"the shapes given for input {spec.name!r} are not those of the model",
        received=f"min {_as_given(shapes.min)}, opt {_as_given(shapes.opt)}, max {_as_given(shapes.max)}",
        expected=f"{format_shape(spec.shape)}, where only ? may vary{values}",
    )


def _as_given(entry: Tuple[int, ...]) -> str:
    return "x".join(str(number) for number in entry) or "scalar"


def _proposal(missing: Sequence[TensorSpec]) -> str:
    lines: List[str] = []
    for option, extent in zip(("min", "opt", "max"), _EXAMPLE):
        shapes = (
            f"{spec.name}:{format_shape(tuple(extent if known < 0 else known for known in spec.shape))}"
            for spec in missing
        )
        lines.append(f"    --{option}-shapes {','.join(shapes)}")
    return "\n".join(lines)
