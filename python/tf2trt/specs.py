"""What a tensor is: name, dtype and shape, and the range of shapes that an engine is built for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

from tf2trt.errors import UsageError

__all__ = ["ShapeRange", "TensorSpec", "format_shape", "parse_shapes"]

Shape = Tuple[int, ...]


def format_shape(shape: Shape) -> str:
    """``(-1, 3, 224)`` as ``"?x3x224"``; a scalar as ``"scalar"``."""
    return "x".join("?" if extent < 0 else str(extent) for extent in shape) if shape else "scalar"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model or engine.

    ``shape`` holds -1 where the extent is only known at run time; ``dtype`` is a NumPy name such as ``"float32"``,
    or ``"bfloat16"``, ``"float8"``, ``"int4"``, which NumPy itself lacks.
    """

    name: str
    dtype: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} {format_shape(self.shape)}"

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class ShapeRange:
    """The smallest, the most usual and the largest shape of one input: an optimisation profile's entry.

    For a shape tensor, an input whose values decide shapes, it holds these values, element by element.
    """

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        if not len(self.min) == len(self.opt) == len(self.max):
            raise UsageError(
                "shape range: the three shapes differ in rank",
                received=f"min {self.min}, opt {self.opt}, max {self.max}",
                expected="shapes of one rank",
            )
        if not all(low <= mid <= high for low, mid, high in zip(self.min, self.opt, self.max)):
            raise UsageError(
                "shape range: the shapes are not in order",
                received=f"min {self.min}, opt {self.opt}, max {self.max}",
                expected="min <= opt <= max in every dimension",
            )


_ENTRY = re.compile(r"^(?P<name>.+):(?P<shape>[0-9?-]+(x[0-9?-]+)*)$")


def parse_shapes(text: str) -> Dict[str, Shape]:
    """Shapes as trtexec writes them: ``"x:1x224x224x3,mask:1x16"``; ``?`` or ``-1`` stands for a dynamic extent.

    The values of a shape tensor are written alike.

    Raises:
        UsageError: the text is not of that form.
    """
    shapes: Dict[str, Shape] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENTRY.match(entry)
        extents = match.group("shape").replace("?", "-1").split("x") if match else []
        if match is None or not all(re.match(r"^(-1|[0-9]+)$", extent) for extent in extents):
            raise UsageError("shapes", received=repr(entry), expected="NAME:D0xD1x..., for example x:1x224x224x3")
        shapes[match.group("name")] = tuple(int(extent) for extent in extents)
    return shapes


def shape_ranges(
    minimum: Mapping[str, Shape], optimum: Mapping[str, Shape], maximum: Mapping[str, Shape]
) -> Dict[str, ShapeRange]:
    """Joins trtexec's three options; a missing one takes the value of the nearest given one.

    As in trtexec, giving only one of the three fixes the shape.
    """
    names = list(dict.fromkeys([*minimum, *optimum, *maximum]))
    ranges = {}
    for name in names:
        opt = optimum.get(name, maximum.get(name, minimum.get(name, ())))
        ranges[name] = ShapeRange(minimum.get(name, opt), opt, maximum.get(name, opt))
    return ranges
