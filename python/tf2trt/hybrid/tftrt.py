"""Backend tf-trt: TensorFlow's own converter, with what it passes over in silence found, counted and told."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, List, Optional, Tuple

from tf2trt.errors import BuildError, Tf2TrtError
from tf2trt.export.source import brief
from tf2trt.extras import require
from tf2trt.hybrid.batches import Batches, Shapes
from tf2trt.hybrid.folders import PathLike, check_target, new_saved_model
from tf2trt.hybrid.options import HybridOptions, InputFunction
from tf2trt.hybrid.report import EngineReport, HybridReport, SegmentReport, check_strict
from tf2trt.hybrid.signature import find_signature
from tf2trt.hybrid.tftrt_checks import check_library, check_options, check_release, check_use
from tf2trt.hybrid.tftrt_engines import EngineWatch, report_engine, report_engines
from tf2trt.hybrid.tftrt_graph import ConvertedGraph, Reasons, read_reasons
from tf2trt.hybrid.tftrt_log import (
    Log,
    captured_log,
    engine_failures,
    import_with_warnings,
    remarks,
    shows_warnings,
    tensorrt_errors,
)

__all__ = ["TfTrtConversion", "convert_tf_trt"]

_MODULE = "tensorflow.python.compiler.tensorrt.trt_convert"
_SHOWN = 3  # errors of TensorRT's in an error message


def convert_tf_trt(saved_model: PathLike, out: PathLike, options: HybridOptions) -> HybridReport:
    """Converts the SavedModel with TF-TRT, builds engines for the shapes of ``options.input_fn``, and writes ``out``.

    Raises:
        UnsupportedVersionError, LibraryNotFoundError, DeviceError, UsageError: it cannot work here or with these
            options; found before any work.
        InputError: a batch that the model does not take.
        BuildError: TF-TRT failed.
        ModelError: less than ``options.strict`` of the model is in engines.
        OutputError: ``out`` cannot be written. Whatever is raised, nothing is left at ``out``.
    """
    check_use(options)
    check_target(out, saved_model)
    conversion = TfTrtConversion(saved_model, options)
    conversion.convert(options.calibration_data)
    if options.input_fn is not None:
        conversion.build(options.input_fn)
    return conversion.save(out)


class TfTrtConversion:
    """One conversion, in TF-TRT's three steps; :attr:`report` tells at each point what was reached.

    Everything that the surroundings can make fail is checked when it is made.

    Raises:
        UnsupportedVersionError, LibraryNotFoundError, DeviceError, UsageError, ExportError: see
            :func:`convert_tf_trt`.
    """

    def __init__(self, saved_model: PathLike, options: HybridOptions) -> None:
        self._options = options
        self._tensorflow = import_with_warnings()
        check_release(self._tensorflow)
        with captured_log():  # our message says what TensorFlow's line does, and more
            self._module = require(_MODULE, "export")
            self._library = check_library(self._tensorflow, self._module)
        check_options(self._tensorflow, options)
        signature, self._specs = find_signature(self._tensorflow, Path(saved_model), options)
        self._converter = self._make_converter(saved_model, signature)
        self._lines: List[str] = []
        self._reasons: Reasons = {}
        self._graph: Any = None
        self._watch: Optional[EngineWatch] = None
        self._asked: List[Shapes] = []
        self._seconds = {"convert": 0.0, "build": 0.0, "save": 0.0}
        self._left_out = False
        self._report: Optional[HybridReport] = None

    @property
    def report(self) -> HybridReport:
        """What became of every node; after :meth:`save` with the engines, before it without."""
        return self._report or self._make_report(None)

    def convert(self, calibration: Optional[InputFunction] = None) -> Any:
        """Cuts the graph, and calibrates INT8; returns TensorFlow's function of the converted model.

        Raises:
            InputError, UsageError: a batch that the model does not take or of another shape than the first, or no
                batch.
            BuildError: TF-TRT failed.
        """
        batches = None
        if calibration is not None:
            # TensorFlow ends the process where a batch is of another size than the first.
            batches = Batches("calibration_input_fn", calibration, self._specs, one_shape=True)
            # Looked at before: where a calibration stops halfway, its thread goes on waiting for the next batch.
            for _ in Batches("calibration_input_fn", calibration, self._specs, one_shape=True)():
                pass
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "reasons.csv"
            with _environment("TF_TRT_SHOW_DETAILED_REPORT", str(file)), self._stage("convert"):
                function = self._converter.convert(calibration_input_fn=batches)
            self._reasons = read_reasons(file)
        self._graph = ConvertedGraph(self._converter._converted_graph_def)
        self._asked = [] if batches is None else batches.seen
        return function

    def build(self, input_fn: InputFunction) -> None:
        """Builds engines: TF-TRT runs the model on every batch.

        Raises:
            InputError, UsageError: a batch that the model does not take, or no batch.
            BuildError: TF-TRT failed.
        """
        with self._stage("build") as log:
            batches = Batches("input_fn", input_fn, self._specs)
            if not self._options.use_dynamic_shape:
                self._watch = watch = EngineWatch(self._module, list(self._graph.engines), log)
                batches = Batches("input_fn", input_fn, self._specs, before=watch.before, after=watch.after)
            self._converter.build(input_fn=batches)
        self._asked = batches.seen

    def save(self, out: PathLike, save_gpu_specific_engines: bool = True, options: Any = None) -> HybridReport:
        """Writes the SavedModel, whole or not at all.

        Args:
            save_gpu_specific_engines: without it the engines are left out, and are built at run time.
            options: a ``tf.saved_model.SaveOptions``.

        Raises:
            ModelError: less than ``strict`` of the model is in engines; nothing is written.
            BuildError: TF-TRT failed.
            OutputError: ``out`` cannot be written.
        """
        self._left_out = not save_gpu_specific_engines
        with new_saved_model(out) as folder:
            with self._stage("save"), self._engines_kept_in_temporary_folder():
                self._converter.save(str(folder), save_gpu_specific_engines, options)
            report = self._make_report(folder)
            check_strict(report, self._options.strict)
        self._report = report
        return report

    def _make_converter(self, saved_model: PathLike, signature: str) -> Any:
        options = self._options
        arguments = {
            "input_saved_model_dir": str(saved_model),
            "input_saved_model_tags": list(options.tags) if options.tags else None,
            "input_saved_model_signature_key": signature,
            "use_dynamic_shape": options.use_dynamic_shape,
            "dynamic_shape_profile_strategy": options.dynamic_shape_profile_strategy,
            "max_workspace_size_bytes": options.max_workspace_size_bytes,
            "precision_mode": options.precision_mode,
            "minimum_segment_size": options.minimum_segment_size,
            "maximum_cached_engines": options.maximum_cached_engines,
            "use_calibration": options.use_calibration,
            "allow_build_at_runtime": options.allow_build_at_runtime,
        }
        check = "_check_trt_version_compatibility"
        passed_over = self._library.refused_by_tensorflow
        with captured_log(), _replaced(self._module, check, lambda: None) if passed_over else contextlib.nullcontext():
            return self._module.TrtGraphConverterV2(**arguments)

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[Log]:
        """Keeps the log and the time, and gives TensorFlow's errors our form."""
        began = time.monotonic()
        with captured_log() as log:
            try:
                yield log
            except Tf2TrtError:
                raise
            except Exception as error:
                said = [*tensorrt_errors(log.lines)[-_SHOWN:], *(each.reason for each in engine_failures(log.lines))]
                raise BuildError(
                    f"TF-TRT failed: {name}",
                    received="\n    ".join([brief(error), *said]),
                    hint='backend="tf2trt" converts with tf2trt\'s own parts',
                ) from error
            finally:
                self._lines.extend(log.lines)
                self._seconds[name] = time.monotonic() - began

    @contextlib.contextmanager
    def _engines_kept_in_temporary_folder(self) -> Iterator[None]:
        """TensorFlow writes the engines to a temporary folder, copies them from there, and leaves it behind."""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(_replaced(self._module, "tempfile", SimpleNamespace(mkdtemp=lambda: folder)))
            yield

    def _make_report(self, saved: Optional[Path]) -> HybridReport:
        options = self._options
        segments = []
        for name, node in self._graph.engines.items():
            engines = () if saved is None or self._left_out else self._engines(name, node, saved)
            reason = None if engines else self._why_no_engine(saved)
            segments.append(SegmentReport(name, self._graph.segment(name), engines, reason))
        versions = {
            "tensorflow": str(self._tensorflow.__version__),
            "tensorrt": ".".join(map(str, self._library.loaded)),
        }
        return HybridReport(
            "tf-trt",
            options.precision_mode,
            versions,
            tuple(segments),
            self._graph.native(self._reasons, options.minimum_segment_size),
            sum(self._seconds.values()),
            tuple(self._notes()),
        )

    def _engines(self, name: str, node: Any, saved: Path) -> Tuple[EngineReport, ...]:
        if self._options.use_dynamic_shape:
            if not self._asked:
                return ()
            return report_engine(node, saved, self._asked, self._seconds["build"], engine_failures(self._lines))
        builds = self._watch.builds[name] if self._watch is not None else []
        return report_engines(node, saved, builds, self._options.maximum_cached_engines)

    def _why_no_engine(self, saved: Optional[Path]) -> str:
        if self._left_out:
            return "engines were left out of the SavedModel: save_gpu_specific_engines=False"
        if self._asked:
            return "not saved yet" if saved is None else "TF-TRT saved no engine"
        later = "at the first call" if self._options.allow_build_at_runtime else "never: allow_build_at_runtime=False"
        return f"without an input_fn it is built {later}"

    def _notes(self) -> Iterator[str]:
        if self._library.refused_by_tensorflow:
            yield (
                "TensorFlow was linked with TensorRT {} and loads {}: an older patch release, which its own check "
                "turns away, and which was let through".format(
                    *(".".join(map(str, each)) for each in (self._library.linked, self._library.loaded))
                )
            )
        yield from remarks(self._lines)
        yield from (f"TensorRT: {text}" for text in tensorrt_errors(self._lines))
        if self._lines and not shows_warnings(self._lines):
            yield (
                "TF-TRT's warnings were switched off when TensorFlow was imported (TF_CPP_MIN_LOG_LEVEL above 1): "
                "reasons may be missing"
            )


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
