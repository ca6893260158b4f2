"""INT8 scales for segments: the model runs natively on the user's calibration data, and what a segment reads meanwhile
is the data that the segment is calibrated with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np

from tf2trt import _native
from tf2trt.build.onnx_inputs import read_onnx_types
from tf2trt.calibration import CalibrationData, TensorRTCalibrator, quantize
from tf2trt.calibration.qdq import has_places
from tf2trt.errors import ModelError
from tf2trt.hybrid.batches import Batches
from tf2trt.hybrid.cut import Cut, CutBody
from tf2trt.hybrid.frozen import Frozen
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.probes import ProbedModel
from tf2trt.hybrid.shapes import bind_batch
from tf2trt.specs import TensorSpec

__all__ = ["Calibration", "Scales", "SegmentData"]

Call = Dict[str, Any]
"""What a segment read in one call: arrays by the names of its ONNX file's inputs."""


@dataclass(frozen=True)
class Scales:
    """What to build a calibrated segment of: ``onnx``, a copy with Q/DQ nodes where TensorRT has no calibrators; and
    with what. ``note`` is a sentence for the report.
    """

    onnx: Path
    precision: str
    calibrator: Optional[TensorRTCalibrator]
    note: str


class Calibration:
    """The calibration of one conversion's segments, by ``options.calibration_data``.

    Raises:
        InputError: a batch that the model does not take.
        UsageError: there is no batch.
    """

    def __init__(self, frozen: Frozen, folder: Path, options: HybridOptions, library: _native.Library) -> None:
        assert options.calibration_data is not None
        self._frozen, self._folder, self._library = frozen, folder, library
        self._precision = options.precision
        name = "input_fn" if options.calibration_input_fn is None else "calibration_input_fn"
        self._batches = Batches(name, options.calibration_data, frozen.inputs)
        for _ in self._batches():  # all is looked at before work that takes long
            pass

    def scales(self, cut_body: CutBody, segment: Cut) -> Union[Scales, str]:
        """What to build ``segment``, one of ``cut_body``'s, of; or why it cannot be calibrated.

        A segment without an operator that has INT8 weights is built in FP16.

        Raises:
            UsageError: the function gives no batches when it is called once more.
            ExportError: TensorFlow cannot run the model on a batch.
        """
        onnx = segment.accepted.onnx
        if read_onnx_types(onnx):
            return Scales(onnx, self._precision, None, f"{segment.name}: it holds scales, which are kept")
        try:
            if not has_places(onnx):
                return Scales(onnx, "fp16", None, f"{segment.name}: nothing in it to quantise; built in FP16")
        except ModelError as error:
            return _text(error)
        data = SegmentData(_NativeCalls(self._frozen, cut_body, segment, self._batches))
        if not data.reached:
            return "the calibration data does not reach it"
        try:
            if not self._library.strongly_typed:
                calibrator = TensorRTCalibrator(onnx, data)
                return Scales(onnx, self._precision, calibrator, f"{segment.name}: calibrated by TensorRT")
            copy = self._folder / f"{segment.name}.int8.onnx"
            report = quantize(onnx, copy, data)
        except ModelError as error:
            return _text(error)
        made = f"{len(report.nodes)} operators quantised, {report.method} over {report.batches} calls"
        return Scales(copy, self._precision, None, f"{segment.name}: {made}")


class _NativeCalls:
    """Called, it runs the whole model natively, batch by batch, and gives what ``segment`` reads: its calls, in their
    order. Those of one batch are held at a time.

    Raises:
        ExportError: TensorFlow cannot run the model on a batch.
    """

    def __init__(self, frozen: Frozen, cut_body: CutBody, segment: Cut, batches: Batches) -> None:
        self._inputs, self._batches = frozen.inputs, batches
        self._pending: List[Call] = []
        self._model = ProbedModel(frozen, _only(cut_body, segment), self._look)

    def __call__(self) -> Iterator[Call]:
        for batch in self._batches():
            self._model.run(bind_batch(self._inputs, batch), "calibration data")
            held, self._pending = self._pending, []
            yield from held

    def _look(self, segment: Cut, arrays: Sequence[Any]) -> None:
        # What it gives lies behind what it reads, and is left out.
        self._pending.append({name: np.array(array) for name, array in zip(segment.accepted.inputs, arrays)})


class SegmentData(CalibrationData):
    """A segment's calls as calibration data. Each is a batch as it is: what a segment reads need not have a batch axis,
    and where it has one, nothing says which.
    """

    def __init__(self, calls: Callable[[], Iterator[Call]]) -> None:
        super().__init__(calls)
        self._calls = calls
        self._first = next(calls(), None)

    @property
    def reached(self) -> bool:
        """Whether there is a call at all."""
        return self._first is not None

    def batch_size(self, specs: Sequence[TensorSpec]) -> int:
        """The leading extent of the first floating-point input; TensorRT asks for the number and takes the shapes."""
        assert self._first is not None
        arrays = [self._first[spec.name] for spec in specs]
        return next((len(array) for array in arrays if array.ndim and array.dtype.kind == "f" and len(array)), 1)

    def batches(self, specs: Sequence[TensorSpec], *, full: bool = False) -> Iterator[Call]:
        """A pass over the calls; with ``full`` over those that have the shapes of the first.

        Raises:
            ModelError: a NaN or an infinity.
        """
        for number, call in enumerate(self._calls()):
            if full and _shapes(call) != _shapes(self._first or call):
                continue
            for name, array in call.items():
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise ModelError(
                        f"the model gives values that are not finite on calibration data: {name!r}",
                        received=f"{int((~np.isfinite(array)).sum())} of {array.size} in call {number} of the segment",
                        hint="look at the data and at what prepares it",
                    )
            yield {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in call.items()}


def _shapes(call: Call) -> List[Any]:
    return [array.shape for array in call.values()]


def _only(cut_body: CutBody, segment: Cut) -> CutBody:
    """The cut graph in which ``segment`` is the only one."""
    cuts = [each for each in cut_body.cuts if each is segment]
    callees = [(call, _only(callee, segment)) for call, callee in cut_body.callees]
    return replace(cut_body, cuts=cuts, callees=callees)


def _text(error: ModelError) -> str:
    return " ".join(str(error).split())
