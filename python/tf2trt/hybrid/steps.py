"""The steps of a conversion, as TF-TRT's class has them, in each backend."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Optional

from tf2trt.errors import UsageError
from tf2trt.export.quiet import import_tensorflow
from tf2trt.hybrid.folders import PathLike, check_target, new_saved_model
from tf2trt.hybrid.options import HybridOptions, InputFunction
from tf2trt.hybrid.report import HybridReport
from tf2trt.hybrid.tftrt import TfTrtConversion

__all__ = ["Tf2TrtSteps", "TfTrtSteps", "convert_tf2trt", "resolve_backend"]

_FIRST = (2, 16)  # the first TensorFlow that backend tf2trt is for


def resolve_backend(options: HybridOptions) -> str:
    """``"tf2trt"`` or ``"tf-trt"``; ``"auto"`` is the former from TensorFlow 2.16 on and the latter before.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    if options.backend != "auto":
        return options.backend
    release = tuple(int(part) for part in _version().split(".")[:2])
    return "tf2trt" if release >= _FIRST else "tf-trt"


def _version() -> str:
    """TensorFlow's, without an import where pip knows it: TF-TRT's warnings depend on how TensorFlow is imported."""
    if "tensorflow" not in sys.modules:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a package of another name
            return importlib.metadata.version("tensorflow")
    return str(import_tensorflow().__version__)


class TfTrtSteps:
    """Backend tf-trt does each step when it is asked for."""

    def __init__(self, saved_model: PathLike, options: HybridOptions) -> None:
        self._saved_model = saved_model
        self._conversion = TfTrtConversion(saved_model, options)

    @property
    def report(self) -> HybridReport:
        """What was reached so far."""
        return self._conversion.report

    def convert(self, calibration: Optional[InputFunction]) -> Callable[..., Any]:
        """Cuts the graph and calibrates; returns TensorFlow's function."""
        function: Callable[..., Any] = self._conversion.convert(calibration)
        return function

    def build(self, input_fn: InputFunction) -> None:
        """Builds the engines."""
        self._conversion.build(input_fn)

    def save(self, out: PathLike, save_gpu_specific_engines: bool, options: Any) -> HybridReport:
        """Writes the SavedModel."""
        check_target(out, self._saved_model)
        return self._conversion.save(out, save_gpu_specific_engines, options)


class Tf2TrtSteps:
    """Backend tf2trt converts and builds at once: when the input shapes are given, or at the latest when the result is
    needed. It lies in a temporary folder until it is saved.
    """

    def __init__(self, saved_model: PathLike, options: HybridOptions) -> None:
        self._saved_model = saved_model
        self._options = options
        self._folder: Any = None
        self._report: Optional[HybridReport] = None
        self._function: Any = None
        self._model: Any = None  # a signature alone does not keep its model alive

    @property
    def report(self) -> HybridReport:
        """The whole conversion's, which is done where it was not yet."""
        if self._report is None:
            self._folder = tempfile.TemporaryDirectory()
            self._report = convert_tf2trt(self._saved_model, self._result, self._options)
        return self._report

    @property
    def _result(self) -> Path:
        return Path(self._folder.name) / "model"

    def convert(self, calibration: Optional[InputFunction]) -> Callable[..., Any]:
        """Takes the calibration data; returns a function that converts when it is first called."""
        self._options = replace(self._options, calibration_input_fn=calibration)
        return self._call

    def build(self, input_fn: InputFunction) -> None:
        """Converts and builds."""
        if self._report is not None:
            raise UsageError(
                "build after the converted model was used", hint="call build() before the function or save()"
            )
        self._options = replace(self._options, input_fn=input_fn)
        _ = self.report

    def save(self, out: PathLike, save_gpu_specific_engines: bool, options: Any) -> HybridReport:
        """Puts the result in place."""
        for name, given in (("save_gpu_specific_engines", not save_gpu_specific_engines), ("options", options)):
            if given:
                raise UsageError(f"{name} in backend tf2trt", expected="not given", hint='backend="tf-trt" takes it')
        check_target(out, self._saved_model)
        report = self.report
        with new_saved_model(out) as folder:
            shutil.copytree(str(self._result), str(folder), dirs_exist_ok=True)
        return report

    def _call(self, *arguments: Any, **named: Any) -> Any:
        if self._function is None:
            _ = self.report
            loaded = import_tensorflow().saved_model.load(str(self._result))
            key = self._options.signature or next(iter(loaded.signatures))
            self._function = loaded.signatures[key]
            self._model = loaded
        return self._function(*arguments, **named)


def convert_tf2trt(saved_model: PathLike, out: PathLike, options: HybridOptions) -> HybridReport:
    """Backend tf2trt in one call: see :func:`tf2trt.hybrid.convert`."""
    options.check_complete()
    check_target(out, saved_model)
    from tf2trt.hybrid.saved_model import convert_saved_model  # only where it is used: it brings much with it

    return convert_saved_model(saved_model, out, options)
