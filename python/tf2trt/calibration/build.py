"""Which of the two products a build with calibration takes: what the TensorRT at hand decides."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Tuple, Union

from tf2trt import _native, libraries
from tf2trt.calibration.native import TensorRTCalibrator
from tf2trt.calibration.qdq import quantize
from tf2trt.errors import UsageError
from tf2trt.files import check_writable

__all__ = ["prepare_build"]

PathLike = Union[str, "os.PathLike[str]"]
Progress = Callable[[int, Optional[int]], None]


@contextlib.contextmanager
def prepare_build(
    onnx: PathLike,
    output: PathLike,
    data: Any,
    *,
    precision: str,
    method: str = "minmax",
    quantile: float = 0.9999,
    cache: PathLike,
    library: Optional[_native.Library] = None,
    progress: Optional[Progress] = None,
) -> Iterator[Tuple[Path, Optional[TensorRTCalibrator]]]:
    """What to build inside the block, and with which calibrator, for an INT8 engine ``output``.

    TensorRT 8 and 10 calibrate by themselves: ``onnx`` as it is, and a calibrator. TensorRT 11 and RTX have no
    calibrators: a Q/DQ copy of ``onnx``, which goes with the block, and None.

    Args:
        data: a :class:`~tf2trt.calibration.CalibrationData`; None to build from ``cache`` alone.
        cache: TensorRT's cache file; read where it is there, and written. Of no use on 11 and RTX.
        library: the TensorRT to build with, by default the first one found that can build.

    Raises:
        UsageError: a precision without INT8, or only a cache for a TensorRT without calibrators; and what
            :class:`TensorRTCalibrator` and :func:`quantize` raise.
    """
    if not precision.startswith("int8"):
        raise UsageError("calibration is for INT8", received=f"precision {precision}", expected="int8 or int8+fp16")
    check_writable(output)
    if library is None:
        library = libraries.find(need_builder=True)
    if not library.strongly_typed:
        yield Path(onnx), TensorRTCalibrator(onnx, data, method, cache, quantile=quantile, progress=progress)
        return
    if data is None:
        raise UsageError(
            f"TensorRT {library.version_text} has no calibrators and reads no calibration cache",
            received=os.fspath(cache),
            expected="data to calibrate with",
            hint="tf2trt calibrate puts the scales into the ONNX file",
        )
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        copy = Path(folder, Path(onnx).name)
        quantize(onnx, copy, data, method, quantile=quantile, progress=progress)
        yield copy, None
