"""FP16 in the graph's own types: the shortest way to :func:`tf2trt.surgery.set_precision`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Union

from tf2trt.surgery.precision import set_precision
from tf2trt.surgery.report import PassReport

__all__ = ["to_fp16"]

PathLike = Union[str, "os.PathLike[str]"]


def to_fp16(source: PathLike, output: PathLike) -> PassReport:
    """``set_precision(source, output, "fp16")``, under its own name in the report."""
    return replace(set_precision(source, output, "fp16"), name="to_fp16")
