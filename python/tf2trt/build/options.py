"""What can be asked of a build."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Tuple, Union

from tf2trt.errors import UsageError
from tf2trt.precisions import PRECISIONS, check_precision, check_rules
from tf2trt.specs import ShapeRange

__all__ = ["PRECISIONS", "BuildOptions", "Progress", "parse_size"]

Progress = Callable[[str, str, int, int], bool]
"""Called as a build goes on with (phase, the phase that it is a part of or "", steps done, steps in all), from a thread
of TensorRT's; returning False or raising stops the build. TensorRT 8 reports nothing."""


@dataclass(frozen=True)
class BuildOptions:
    """How to build an engine. The defaults give FP32 with TF32 off, for shapes that are all static.

    ``precision``
        ``"fp32"`` (TF32 off), ``"tf32"``, ``"fp16"``, ``"bf16"``, ``"int8"`` (INT8 where the network has scales, FP32
        elsewhere) or ``"int8+fp16"`` (FP16 elsewhere): on TensorRT 8 and 10 what TensorRT may choose layer by layer; on
        11 and TensorRT-RTX the graph's own types count, and the graph must hold them, which
        :func:`tf2trt.conversion.build_for` sees to. What was built is read back and compared.
    ``layer_precision``
        Pairs of a pattern over layer names (``fnmatch``) and ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"int8"``; the last
        match wins. The names are those of the ONNX nodes. A rule for ``"fp32"`` turns TF32 off, for which TensorRT has
        one flag for all layers, unless ``precision`` asks for it.
    ``allow_fallback``
        Takes an engine in which fewer heavy layers than :data:`~tf2trt.build.proof.MINIMUM_SHARE` compute in the type
        asked for, and a GPU that has no such type.
    ``calibration``
        What gives TensorRT 8 and 10 the data for INT8 scales: a :class:`tf2trt.calibration.TensorRTCalibrator`, or an
        object with its ``method``, ``batch_size``, ``cache``, ``quantile`` and ``next``. Its ``save``, where it has
        one, is called with TensorRT's calibration cache as soon as that is there, which is before kernels are timed: a
        build that fails or is killed later does not lose it. A network with QuantizeLinear and DequantizeLinear nodes
        has its scales and needs none.
    ``profiles``
        One or more mappings from input name to :class:`~tf2trt.ShapeRange`; each must name every dynamic input, and
        every shape tensor, for which the range holds its values.
    ``workspace``
        Limit of the scratch memory in bytes; None leaves it to TensorRT (all of the GPU's memory).
    ``timing_cache``
        A file of kernel timings, read where it exists and written after the build: a second build takes seconds.
    ``version_compatible``
        The engine is then read by later TensorRT versions of the same major version, at some cost in speed.
    ``optimization_level``
        0 (quick build) to 5 (long search); None is TensorRT's default, 3.
    ``plugin_libraries``
        Files of your own plugin libraries that the network needs. tf2trt's own is found and loaded without being named.

    Raises:
        UsageError: a value that cannot work.
    """

    precision: str = "fp32"
    profiles: Tuple[Mapping[str, ShapeRange], ...] = ()
    workspace: Optional[int] = None
    timing_cache: Optional[Union[str, os.PathLike[str]]] = None
    version_compatible: bool = False
    optimization_level: Optional[int] = None
    plugin_libraries: Tuple[Union[str, os.PathLike[str]], ...] = ()
    layer_precision: Tuple[Tuple[str, str], ...] = ()
    allow_fallback: bool = False
    calibration: Optional[Any] = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        object.__setattr__(self, "layer_precision", check_rules(self.layer_precision))
        if self.calibration is not None and "int8" not in self.precision:
            raise UsageError("calibration", received=f"precision {self.precision}", expected="int8 or int8+fp16")
        if isinstance(self.profiles, Mapping):
            raise UsageError("profiles", received="one mapping", expected="a sequence of them", hint="profiles=[{...}]")
        object.__setattr__(self, "profiles", tuple(dict(profile) for profile in self.profiles))
        for name, shapes in (item for profile in self.profiles for item in profile.items()):
            if not isinstance(shapes, ShapeRange):
                raise UsageError(
                    f"profile of input {name!r}", received=repr(shapes), expected="ShapeRange(min=, opt=, max=)"
                )
        if isinstance(self.plugin_libraries, (str, os.PathLike)):
            raise UsageError("plugin libraries", received="one path", expected="a sequence of them")
        object.__setattr__(self, "plugin_libraries", tuple(self.plugin_libraries))
        if self.workspace is not None and self.workspace <= 0:
            raise UsageError("workspace", received=f"{self.workspace} bytes", expected="more than 0 bytes")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise UsageError("optimization level", received=self.optimization_level, expected="0 to 5")


_UNITS = {"": 1, "B": 1}
_UNITS.update({f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)})
_UNITS.update({f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)})


def parse_size(text: str) -> int:
    """``"1GiB"``, ``"1.5 MiB"``, ``"512MB"`` or ``"1048576"`` as bytes. KiB counts 1024 bytes, KB 1000.

    Raises:
        UsageError: the text is no size.
    """
    match = re.match(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$", text)
    unit = _UNITS.get(match.group(2).upper()) if match else None
    if match is None or unit is None:
        raise UsageError("size", received=repr(text), expected="a number and a unit, for example 1GiB or 512MiB")
    return int(float(match.group(1)) * unit)
