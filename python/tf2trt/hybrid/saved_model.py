"""Backend tf2trt: a SavedModel with our engines in the place of what TensorRT takes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from tf2trt import _native, libraries
from tf2trt.build.hardware import check_hardware
from tf2trt.errors import DeviceError
from tf2trt.export.quiet import import_tensorflow, quiet_loggers, without_chatter
from tf2trt.hybrid.assemble import EngineSettings, with_engines
from tf2trt.hybrid.cut import CutBody, cut
from tf2trt.hybrid.engines import Built, build_segment
from tf2trt.hybrid.folders import new_saved_model
from tf2trt.hybrid.frozen import Frozen, freeze_saved_model
from tf2trt.hybrid.measured import with_measured_times
from tf2trt.hybrid.memory import leave_memory
from tf2trt.hybrid.op import load_op
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.report import HybridReport, NodeReport, SegmentReport, check_strict
from tf2trt.hybrid.segment_data import Calibration
from tf2trt.hybrid.shapes import Seen, watch
from tf2trt.hybrid.write import write_saved_model
from tf2trt.preparation import why_no_plugins

__all__ = ["REPORT", "convert_saved_model"]

REPORT = "tf2trt_hybrid.json"
"""The file among the assets with the report; the engines lie beside it."""

PathLike = Union[str, "os.PathLike[str]"]
_PLUGINS = ("l2_normalize",)
_DEFAULT_SIGNATURE = "serving_default"


def convert_saved_model(source: PathLike, out: PathLike, options: HybridOptions) -> HybridReport:
    """Writes the SavedModel ``source`` to the folder ``out`` with the largest segments that TensorRT takes as engines.

    Only one signature is in the result; its arguments and results have their names. Segments without an engine stay as
    they were, and the report says why. Each engine takes all shapes between the smallest and the largest that
    ``options.input_fn`` gives, or those that ``use_dynamic_shape`` with its strategy asks for; on these batches each
    segment's ONNX file is compared with TensorFlow. With ``allow_build_at_runtime`` the segments' ONNX files go along,
    and a call with other shapes builds an engine for these. Where there is a GPU, the nodes' native times are measured
    on the first batch. ``tf2trt_stats()`` of the loaded model tells how often segments ran as engines and natively, and
    how many engines were built. Where TensorFlow has not started yet, its memory on the GPU grows as it is needed from
    then on, unless something else was set.

    Raises:
        UsageError: options or a signature that cannot work, a type that the GPU lacks, a batch that does not fit, or
            INT8 that is to be calibrated without data.
        LibraryNotFoundError, DeviceError: there is no TensorRT that can build here.
        OperatorError: the op ``Tf2TrtEngine`` cannot be compiled.
        ExportError: the SavedModel cannot be read, frozen or run.
        CoverageError: less than ``options.strict`` of the model is in engines.
        OutputError: ``out`` cannot be written.
    """
    started = time.monotonic()
    options.check_complete()
    library = libraries.find(need_builder=True)
    with contextlib.suppress(DeviceError):  # TensorRT-RTX builds for others
        check_hardware(options.precision, (), _native.device())
    tensorflow = import_tensorflow()
    leave_memory()
    load_op()
    path = Path(source)
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as name, quiet_loggers(), without_chatter():
        folder = Path(name)
        frozen = freeze_saved_model(path, options.signature, options.tags)
        calibration = Calibration(frozen, folder, options, library) if options.calibrated else None
        by_graph = options.calibrated and library.strongly_typed  # quantised by ONNX Runtime, which has no plugins
        plugins = () if by_graph or why_no_plugins(library) else _PLUGINS
        # Of this conversion alone: the process counts calls by these names, also where two models of a name are loaded.
        prefix = re.sub(r"\W+", "_", path.resolve().name) + f"_{secrets.token_hex(4)}_"
        cut_body = cut(
            frozen.body, folder, options.minimum_segment_size, prefix=prefix, library=library, plugins=plugins
        )
        batches = options.input_fn or options.calibration_data
        seen = watch(frozen, cut_body, batches()) if batches else {}
        built, notes = _build_all(cut_body, seen, folder, options, library, calibration)
        versions = {"tensorflow": tensorflow.__version__, "tensorrt": f"{library.kind} {library.version_text}"}
        report = _report(cut_body, built, options, versions, time.monotonic() - started, notes)
        if options.input_fn is not None and tensorflow.config.list_physical_devices("GPU"):  # a CPU's times mislead
            report = with_measured_times(report, frozen, cut_body, next(iter(options.input_fn())))
        check_strict(report, options.strict)
        files = [file for each in built.values() for file in each.files]
        settings = {
            name: _settings(each, options, library) for name, each in built.items() if each.source or _file_of(each)
        }
        plan = with_engines(cut_body, settings)
        written = folder / REPORT
        written.write_text(json.dumps(report.to_json()))
        with new_saved_model(out) as target:
            signature = options.signature or _signature(frozen)
            write_saved_model(frozen, plan, [written, *files], target, signature, list(settings))
    return report


def _signature(frozen: Frozen) -> str:
    names = [name for name in frozen.loaded.signatures if not name.startswith("__")]
    return _DEFAULT_SIGNATURE if _DEFAULT_SIGNATURE in names else names[0]


def _build_all(
    cut_body: CutBody,
    seen: Dict[str, Seen],
    folder: Path,
    options: HybridOptions,
    library: _native.Library,
    calibration: Optional[Calibration],
) -> Tuple[Dict[str, Built], Tuple[str, ...]]:
    """What became of each segment, and notes on calibration and on types that engines fell back to."""
    found: Dict[str, Built] = {}
    notes: List[str] = []
    for each in cut_body.all():
        for segment in each.cuts:
            scales = calibration.scales(cut_body, segment) if calibration else None
            if isinstance(scales, str):
                found[segment.name] = Built(None, scales)
                continue
            notes += [scales.note] if scales else []
            known = seen.get(segment.name)
            result = build_segment(segment, each.body, known, folder, options, library, scales)
            notes += [result.note] if result.note else []
            found[segment.name] = result
    return found, tuple(notes)


def _file_of(built: Built) -> str:
    return (built.report.file if built.report else None) or ""


def _settings(built: Built, options: HybridOptions, library: _native.Library) -> EngineSettings:
    source = built.source
    return EngineSettings(
        engine_file=_file_of(built),
        onnx_file=source.onnx.name if source else "",
        calibration_file=source.calibration.name if source and source.calibration else "",
        allow_native=options.strict is None,
        precision=source.precision if source else options.precision,
        workspace=options.max_workspace_size_bytes,
        tensorrt_generation=library.generation,
        maximum_cached_engines=options.maximum_cached_engines,
    )


def _report(
    cut_body: CutBody,
    built: Dict[str, Built],
    options: HybridOptions,
    versions: Dict[str, str],
    seconds: float,
    notes: Tuple[str, ...],
) -> HybridReport:
    segments: List[SegmentReport] = []
    native: List[NodeReport] = []
    for each in cut_body.all():
        nodes = {node.name: _node(each, node.name, (*node.inputs, *node.controls)) for node in each.body.plain_nodes()}
        for segment in each.cuts:
            result = built[segment.name]
            engines = (result.report,) if result.report else ()
            inside = tuple(nodes.pop(name) for name in segment.accepted.piece.nodes)
            segments.append(SegmentReport(segment.name, inside, engines, result.reason))
        native += nodes.values()
    return HybridReport("tf2trt", options.precision_mode, versions, tuple(segments), tuple(native), seconds, notes)


def _node(cut_body: CutBody, name: str, inputs: Tuple[str, ...]) -> NodeReport:
    reason: Optional[str] = cut_body.native.get(name)
    operator = cut_body.body.node_defs[name].op
    return NodeReport(name, operator, inputs, reason, function=cut_body.body.name or None)
