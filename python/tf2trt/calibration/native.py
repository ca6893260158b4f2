"""What TensorRT 8 and 10 calibrate with: batches from the user's data, and a cache bound to the model."""

from __future__ import annotations

import itertools
import mmap
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Union

from tf2trt.calibration.cache import read_cache, write_cache
from tf2trt.calibration.data import CalibrationData
from tf2trt.calibration.model import model_hash
from tf2trt.calibration.thresholds import check_method
from tf2trt.errors import ModelError, UsageError
from tf2trt.files import check_writable

__all__ = ["TensorRTCalibrator"]

PathLike = Union[str, "os.PathLike[str]"]
Progress = Callable[[int, Optional[int]], None]


class TensorRTCalibrator:
    """A calibrator for ``BuildOptions(precision="int8", calibration=...)`` on TensorRT 8 and 10.

    TensorRT asks for batches with :meth:`next`, runs the network over them and makes the scales itself; these are
    written to ``cache_path`` by :meth:`save`. With a cache of this model, method and file there, TensorRT takes the
    scales from it and asks for no batch. TensorRT gives nothing before the last batch, so a calibration that was killed
    leaves no cache and begins anew. :meth:`save` is called as soon as there is one, so that a build that fails or is
    killed while it times kernels does not lose it. (A Q/DQ calibration, :func:`tf2trt.calibration.quantize`, does go on
    half-way.)

    Every batch is full and of one shape, that of the first: TensorRT calibrates at one. A remainder is left out.

    Attributes:
        method: ``"entropy"``, ``"minmax"`` or ``"percentile"`` (TensorRT's legacy calibrator).
        batch_size: samples in each batch.
        quantile: of ``percentile``.
        cache: the bytes of the cache, ``b""`` where there is none yet.

    Args:
        onnx: the model that is to be built.
        data: a :class:`CalibrationData` or what one is made of; None where the cache is to serve alone.
        cache_path: TensorRT's cache file, which need not be there yet; None keeps none.
        progress: called with the samples given so far, and the number of all where that is known.

    Raises:
        UsageError: no data and no cache; a cache that is damaged, of another model or by another method; data that is
            empty or does not fit, as far as the first batch shows.
        ModelError: the model has Q/DQ nodes: it needs no calibrator, and TensorRT would ignore it.
        OnnxError: ``onnx`` cannot be read.
        OutputError: ``cache_path`` cannot be written.
    """

    def __init__(
        self,
        onnx: PathLike,
        data: Any = None,
        method: str = "minmax",
        cache_path: Optional[PathLike] = None,
        *,
        quantile: float = 0.9999,
        progress: Optional[Progress] = None,
    ) -> None:
        from tf2trt.build.onnx_inputs import read_onnx_inputs

        check_method(method, quantile)
        self._onnx = Path(onnx)
        _refuse_quantised(self._onnx)
        self._specs = read_onnx_inputs(self._onnx)
        self.method = method
        self.quantile = quantile
        self._path = None if cache_path is None else Path(cache_path)
        self._hash = model_hash(self._onnx)
        if data is not None and not isinstance(data, CalibrationData):
            data = CalibrationData(data)
        self._data: Optional[CalibrationData] = data
        self._progress = progress
        found = None if self._path is None else read_cache(self._path, self._onnx, method)
        self.cache = b"" if found is None else found.data
        if data is None and found is None:
            raise UsageError(
                "calibration: neither data nor a cache",
                received=f"no file at {self._path}" if self._path else None,
                hint="give data, or the cache of an earlier calibration of this model",
            )
        self.batch_size = 1 if data is None else data.batch_size(self._specs)
        self._batches: Iterator[Dict[str, Any]] = iter(())
        self._samples = 0
        self._asked = False
        self._shapes: Dict[str, Any] = {}
        if found is None:
            if self._path is not None:
                check_writable(self._path)
            self._start()

    def next(self) -> Optional[Dict[str, Any]]:
        """The next batch: C-contiguous arrays on the host by input name; None at the end. Then it begins again, where
        the data can: TensorRT's legacy calibrator reads it twice.

        Raises:
            UsageError: data that does not fit or changes its shape, or TensorRT asks for data and there is a cache
                only: it did not take that.
        """
        self._asked = True
        if self._data is None:
            raise UsageError(
                "TensorRT did not take the calibration cache, and there is no data to calibrate with",
                received=str(self._path),
                hint="the TensorRT that made it may be another one, see its first line; give the data as well",
            )
        if not self._shapes:
            self._start()
        batch = next(self._batches, None)
        if batch is None:
            self._samples = 0
            if not self._data.one_shot:
                self._shapes = {}
            return None
        shapes = {name: array.shape for name, array in batch.items()}
        if shapes != self._shapes:
            raise UsageError(
                "calibration data: TensorRT's calibrators take one shape",
                received=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
                expected=", ".join(f"{name} {shape}" for name, shape in self._shapes.items()),
                hint="give samples of one shape; `tf2trt calibrate` takes any",
            )
        self._samples += self.batch_size
        if self._progress:
            self._progress(self._samples, self._data.count)
        return batch

    def save(self, cache: bytes) -> None:
        """Keeps what TensorRT gave to ``writeCalibrationCache``, in :attr:`cache` and at ``cache_path``.

        A cache that served, so that no batch was asked for, stays as it is.

        Raises:
            ModelError: the model's file is another one by now.
            UsageError: it is no cache.
            OutputError: the file cannot be written.
        """
        if not cache or (self.cache and not self._asked):  # TensorRT may write what it read, in words of its own
            return
        self.cache = bytes(cache)
        if self._path is None:
            return
        if model_hash(self._onnx) != self._hash:
            raise ModelError(f"{self._onnx} was changed during the calibration; its cache is not kept")
        write_cache(self._path, self._onnx, self.cache, batch_size=self.batch_size, quantile=self.quantile)

    def _start(self) -> None:
        assert self._data is not None
        batches = self._data.batches(self._specs, full=True)
        first = next(batches)  # raises where there is none
        self._shapes = {name: array.shape for name, array in first.items()}
        self._batches = itertools.chain([first], batches)


def _refuse_quantised(onnx: Path) -> None:
    """Looks for the operator's name as it stands in a node (field 4 of NodeProto): the base install has no onnx."""
    if onnx.is_file() and onnx.stat().st_size:
        with onnx.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data.find(b"\x22\x10DequantizeLinear") >= 0:
                raise ModelError(
                    f"{onnx} is quantised already: TensorRT takes its scales from the QuantizeLinear nodes",
                    hint="build it without calibration: tf2trt build --precision int8",
                )
