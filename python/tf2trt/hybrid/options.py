"""What can be asked of a hybrid conversion, in TF-TRT's own words."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

from tf2trt.errors import UsageError

__all__ = [
    "BACKENDS",
    "DEFAULT_WORKSPACE",
    "PRECISION_MODES",
    "PROFILE_STRATEGIES",
    "HybridOptions",
    "InputFunction",
]

BACKENDS = ("auto", "tf2trt", "tf-trt")

DEFAULT_WORKSPACE = 1 << 30
"""Bytes of scratch memory that an engine may take: 1 GiB, TF-TRT's default with TensorRT up to 8.3."""

# TF-TRT's names and ours. Its INT8 lets TensorRT take FP16 where a layer has no INT8, so ours does too.
_PRECISIONS: Dict[str, str] = {
    "FP32": "fp32",
    "TF32": "tf32",
    "FP16": "fp16",
    "BF16": "bf16",
    "INT8": "int8+fp16",
}
PRECISION_MODES = tuple(_PRECISIONS)

PROFILE_STRATEGIES = ("Range", "Optimal", "Range+Optimal")

InputFunction = Callable[[], Iterable[Any]]
"""A function without arguments, called once for each pass, that gives batches. A batch is what TF-TRT takes: a list or
tuple of arrays in the order of the signature's inputs, or a dictionary of arrays by their names; for a model with one
input also the array itself."""


@dataclass(frozen=True)
class HybridOptions:
    """How to put TensorRT engines into a SavedModel. Names, meanings and defaults are TF-TRT's where it has them.

    ``precision_mode``
        ``"FP32"`` (TF32 off in backend tf2trt; TF-TRT follows TensorFlow's own TF32 switch, which is on), ``"FP16"`` or
        ``"INT8"`` (FP16 where a layer has no INT8); in backend tf2trt also ``"TF32"`` and ``"BF16"``. Small letters
        are taken too.
    ``max_workspace_size_bytes``
        Scratch memory that each engine may take.
    ``minimum_segment_size``
        A segment of fewer nodes stays native.
    ``maximum_cached_engines``
        Engines that one segment keeps, each for other input shapes; the one used least lately goes first. In backend
        tf2trt of those that were built at run time: the conversion's own engine stays.
    ``allow_build_at_runtime``
        Whether a call with input shapes that no engine takes builds one; without it such a call runs natively. In
        backend tf2trt the call that builds waits, for seconds to minutes; others with these shapes run natively
        meanwhile, or wait where ``strict`` is given. The model is larger by the segments' ONNX files then. A build that
        failed is not tried again.
    ``use_calibration``
        For INT8: whether scales come from calibration data (``True``) or from the fake-quantization nodes in the model.
    ``input_fn``
        Batches whose shapes engines are built for, and calibration data where ``calibration_input_fn`` is None.
    ``calibration_input_fn``
        Batches of real data that INT8 is calibrated with; their shapes are those that engines are built for where
        ``input_fn`` is None. Backend tf2trt takes any shapes with TensorRT 11 and RTX; TensorRT 8 and 10 calibrate at
        one, so that batches of other shapes than the first are left out. It calls the function several times: once to
        look at the batches, and for every segment one time or more.
    ``use_dynamic_shape``, ``dynamic_shape_profile_strategy``
        With it a segment has one engine for all shapes that ``input_fn`` gives: with one optimization profile from the
        smallest to the largest (``"Range"``), with one for each shape (``"Optimal"``) or both (``"Range+Optimal"``).
        Small letters are taken too. Without it backend tf2trt builds what ``"Range"`` is, and backend tf-trt works in
        TensorRT's old mode without a batch dimension: an engine for each shape, which smaller batches use too, up to
        ``maximum_cached_engines``, and fewer operators that it takes. A strategy other than ``"Range"`` needs
        ``use_dynamic_shape``: TF-TRT would pass it over in silence.
    ``backend``
        ``"tf2trt"``, ``"tf-trt"`` (TensorFlow up to 2.17 that was built with TensorRT) or ``"auto"``: tf2trt from
        TensorFlow 2.16 on, TF-TRT before.
    ``strict``
        The share of the model's nodes, 0 to 1, that must be in engines, and of its time where that was measured
        (backend tf2trt, with a GPU and an input_fn); None asks for nothing. With it a call that no engine takes raises
        instead of running natively (in backend tf-trt the environment variable
        ``TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION=False`` does that, wherever the model is run).
    ``signature``, ``tags``
        What of the SavedModel is converted; None is ``serving_default`` (or the only signature there is) and ``serve``.

    Raises:
        UsageError: a value that cannot work.
    """

    precision_mode: str = "FP32"
    max_workspace_size_bytes: int = DEFAULT_WORKSPACE
    minimum_segment_size: int = 3
    maximum_cached_engines: int = 1
    allow_build_at_runtime: bool = True
    use_calibration: bool = True
    input_fn: Optional[InputFunction] = None
    calibration_input_fn: Optional[InputFunction] = None
    use_dynamic_shape: bool = False
    dynamic_shape_profile_strategy: str = "Range"
    backend: str = "auto"
    strict: Optional[float] = None
    signature: Optional[str] = None
    tags: Optional[Tuple[str, ...]] = None

    def __post_init__(self) -> None:
        mode = self.precision_mode.upper() if isinstance(self.precision_mode, str) else None
        if mode not in _PRECISIONS:
            raise UsageError("precision_mode", received=repr(self.precision_mode), expected=", ".join(_PRECISIONS))
        object.__setattr__(self, "precision_mode", mode)
        for name in ("max_workspace_size_bytes", "minimum_segment_size", "maximum_cached_engines"):
            object.__setattr__(self, name, _count(name, getattr(self, name)))
        for name in ("input_fn", "calibration_input_fn"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise UsageError(
                    name,
                    received=type(function).__name__,
                    expected="a function without arguments that gives batches",
                    hint=f"{name}=lambda: batches",
                )
        if self.calibration_input_fn is not None and not self.calibrated:
            raise UsageError(
                "calibration_input_fn",
                received=f"precision_mode {mode}, use_calibration {self.use_calibration}",
                expected="INT8 with use_calibration",
            )
        strategy = {each.lower(): each for each in PROFILE_STRATEGIES}.get(
            str(self.dynamic_shape_profile_strategy).lower()
        )
        if strategy is None:
            raise UsageError(
                "dynamic_shape_profile_strategy",
                received=repr(self.dynamic_shape_profile_strategy),
                expected=", ".join(PROFILE_STRATEGIES),
            )
        if strategy != "Range" and not self.use_dynamic_shape:
            raise UsageError(
                "dynamic_shape_profile_strategy without use_dynamic_shape",
                received=strategy,
                hint="use_dynamic_shape=True, with which segments have optimization profiles by a strategy",
            )
        object.__setattr__(self, "dynamic_shape_profile_strategy", strategy)
        if self.backend not in BACKENDS:
            raise UsageError("backend", received=repr(self.backend), expected=", ".join(BACKENDS))
        if self.strict is not None and not 0 <= self.strict <= 1:
            raise UsageError("strict", received=self.strict, expected="a share of the nodes, 0 to 1")
        if isinstance(self.tags, str):
            raise UsageError("tags", received=repr(self.tags), expected="a sequence of them")
        object.__setattr__(self, "tags", None if self.tags is None else tuple(self.tags))

    @property
    def precision(self) -> str:
        """``precision_mode`` as :class:`tf2trt.BuildOptions` names it."""
        return _PRECISIONS[self.precision_mode]

    @property
    def calibrated(self) -> bool:
        """Whether INT8 scales are to come from data."""
        return self.precision_mode == "INT8" and self.use_calibration

    @property
    def calibration_data(self) -> Optional[InputFunction]:
        """What INT8 is calibrated with; None where it is not, or where nobody gave data yet."""
        return (self.calibration_input_fn or self.input_fn) if self.calibrated else None

    def check_complete(self) -> None:
        """To be called before work starts, when all that will be given is there.

        Raises:
            UsageError: INT8 is to be calibrated and there is no data.
        """
        if self.calibrated and self.calibration_data is None:
            raise UsageError(
                "INT8 without calibration data",
                received="use_calibration, and neither calibration_input_fn nor input_fn",
                expected="some hundred samples of real data",
                hint="calibration_input_fn=lambda: batches; or use_calibration=False where the model holds "
                "fake-quantization nodes",
            )


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise UsageError(name, received=repr(value), expected="a whole number, 1 or more")
    return int(value)
