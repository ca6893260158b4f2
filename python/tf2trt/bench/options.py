"""What can be asked of a benchmark, and what of it cannot work whatever the models are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple

from tf2trt.bench.presets import DEFAULT, PRESETS, Way
from tf2trt.bench.results import REGIMES
from tf2trt.errors import UsageError
from tf2trt.extras import require
from tf2trt.precisions import check_precision
from tf2trt.specs import Shape

__all__ = ["BACKENDS", "BenchOptions"]

BACKENDS = ("native", "tf-trt", "hybrid", "engine")
"""Ways to run a Keras file or a SavedModel: in TensorFlow as it is, by TF-TRT, by tf2trt's hybrid, as one engine."""


@dataclass(frozen=True)
class BenchOptions:
    """A benchmark. The defaults compare, in FP32 and one sample at a time, TensorFlow with engines.

    ``subjects``
        Paths: ``.engine`` files, ONNX files, Keras files, SavedModels; also SavedModels that TF-TRT or
        :func:`tf2trt.hybrid.convert` wrote, which are measured as they are.
    ``batches``
        Batch sizes. An engine is built with a profile for each; an ``.engine`` file has to take them all.
    ``precisions``
        Of what is built here. TensorFlow itself runs in ``"tf32"`` and ``"fp32"`` where they are among them, else in
        its default.
    ``backends``
        Ways to run Keras files and SavedModels, of :data:`BACKENDS`.
    ``regimes``
        Of :data:`~tf2trt.bench.results.REGIMES`; None: those of the preset.
    ``preset``
        A name in :data:`~tf2trt.bench.presets.PRESETS`.
    ``repeats``, ``seconds``
        Turns of each subject, batch and regime, and how long each is; None: the preset's.
    ``shapes``
        Shapes of inputs by name, for models in which more than the batch is dynamic; the first extent is the batch's
        place.
    ``seed``
        Of the inputs and of the order of turns.
    ``plugin_libraries``
        Files of plugin libraries that engines and ONNX files need beside tf2trt's own.
    ``calib``
        A ``.npz`` file of real samples by input name, along the first axis, to calibrate INT8 with; without it only
        models that have scales are measured in INT8.
    ``keep``
        A folder for what is built, which is otherwise thrown away: engines and SavedModels, to be given as subjects
        another time.
    ``timing_cache``
        A file of kernel timings for engines that are built here; with it builds, and ``build_seconds``, are shorter.
    ``nvtx``
        Name each turn for NVIDIA's profilers; needs the package ``nvtx``.
    ``trace``
        A file for a trace of a few calls of each subject; see :mod:`tf2trt.bench.trace`.
    ``command``
        The command line, for the result.

    Raises:
        UsageError: a value that cannot work, also when a preset's own values are given beside it.
        MissingExtraError: ``nvtx`` is not installed.
    """

    subjects: Tuple[str, ...]
    batches: Tuple[int, ...] = (1,)
    precisions: Tuple[str, ...] = ("fp32",)
    backends: Tuple[str, ...] = ("native", "engine")
    regimes: Optional[Tuple[str, ...]] = None
    preset: str = DEFAULT
    repeats: Optional[int] = None
    seconds: Optional[float] = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    seed: int = 0
    plugin_libraries: Tuple[str, ...] = ()
    calib: Optional[str] = None
    keep: Optional[str] = None
    timing_cache: Optional[str] = None
    nvtx: bool = False
    trace: Optional[str] = None
    command: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(str(each) for each in self.subjects))
        if not self.subjects:
            raise UsageError("no subject", expected="engines, ONNX files, Keras files or SavedModels")
        whole = all(isinstance(each, int) and not isinstance(each, bool) for each in self.batches)
        if not self.batches or not whole or min(self.batches) < 1:
            raise UsageError("batch", received=_list(self.batches), expected="whole numbers from 1 on")
        object.__setattr__(self, "batches", tuple(sorted(set(self.batches))))
        for precision in self.precisions:
            check_precision(precision)
        for name, known in (("precisions", None), ("backends", BACKENDS), ("regimes", tuple(REGIMES))):
            self._check_names(name, known)
        if self.preset not in PRESETS:
            raise UsageError("preset", received=self.preset, expected=", ".join(PRESETS))
        if self.preset != DEFAULT and (self.regimes, self.repeats, self.seconds) != (None, None, None):
            raise UsageError(
                "a preset says how it is measured",
                received=f"{self.preset}, and regimes, repeats or seconds",
                expected="one or the other",
            )
        if self.repeats is not None and self.repeats < 1:
            raise UsageError("repeats", received=self.repeats, expected="1 or more")
        if self.seconds is not None and not 0 < self.seconds < 3600:
            raise UsageError("seconds", received=self.seconds, expected="more than 0, and less than an hour")
        if self.calib is not None and not (Path(self.calib).is_file() and Path(self.calib).suffix == ".npz"):
            raise UsageError("calibration data", received=self.calib, expected="an .npz file that is there")
        if self.calib is not None and not any("int8" in precision for precision in self.precisions):
            raise UsageError("calibration data", received=_list(self.precisions), expected="int8 or int8+fp16 too")
        for library in self.plugin_libraries:
            if not Path(library).is_file():
                raise UsageError("plugin library", received=library, expected="a file that is there")
        if self.nvtx:
            require("nvtx", "trace")

    @property
    def way(self) -> Way:
        """The preset's way, with what was given in the place of its own."""
        given: Mapping[str, Any] = {"regimes": self.regimes, "repeats": self.repeats, "seconds": self.seconds}
        return replace(PRESETS[self.preset], **{name: value for name, value in given.items() if value is not None})

    def _check_names(self, option: str, known: Optional[Sequence[str]]) -> None:
        values = getattr(self, option)
        if values is None:
            return
        unknown = [each for each in values if known is not None and each not in known]
        if not values or unknown:
            raise UsageError(option, received=_list(unknown), expected=_list(known or ()) or "at least one")
        object.__setattr__(self, option, tuple(dict.fromkeys(values)))


def _list(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"
