"""Backend tf2trt: a SavedModel with our engines in the place of what TensorRT takes."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from tf2trt import _native, libraries
from tf2trt.errors import UsageError
from tf2trt.export.quiet import import_tensorflow, quiet_loggers, without_chatter
from tf2trt.hybrid.assemble import with_engines
from tf2trt.hybrid.cut import CutBody, cut
from tf2trt.hybrid.engines import Built, build_segment
from tf2trt.hybrid.folders import new_saved_model
from tf2trt.hybrid.frozen import Frozen, freeze_saved_model
from tf2trt.hybrid.measured import with_measured_times
from tf2trt.hybrid.op import load_op
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.report import HybridReport, NodeReport, SegmentReport, check_strict
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
    segment's ONNX file is compared with TensorFlow. Where there is a GPU, the nodes' native times are measured on the
    first batch.

    Raises:
        UsageError: options or a signature that cannot work, or a batch that does not fit.
        LibraryNotFoundError, DeviceError: there is no TensorRT that can build here.
        OperatorError: the op ``Tf2TrtEngine`` cannot be compiled.
        ExportError: the SavedModel cannot be read, frozen or run.
        CoverageError: less than ``options.strict`` of the model is in engines.
        OutputError: ``out`` cannot be written.
    """
    started = time.monotonic()
    if options.calibrated:
        raise UsageError(
            "backend tf2trt does not calibrate segments",
            received="INT8 with use_calibration",
            expected="INT8 with the scales in the model (use_calibration=False), or FP16",
        )
    library = libraries.find(need_builder=True)
    tensorflow = import_tensorflow()
    load_op()
    path = Path(source)
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as name, quiet_loggers(), without_chatter():
        folder = Path(name)
        frozen = freeze_saved_model(path, options.signature, options.tags)
        plugins = () if why_no_plugins(library) else _PLUGINS
        prefix = re.sub(r"\W+", "_", path.resolve().name) + "_"
        cut_body = cut(
            frozen.body, folder, options.minimum_segment_size, prefix=prefix, library=library, plugins=plugins
        )
        seen = watch(frozen, cut_body, options.input_fn()) if options.input_fn else {}
        built = _build_all(cut_body, seen, folder, options, library)
        versions = {"tensorflow": tensorflow.__version__, "tensorrt": f"{library.kind} {library.version_text}"}
        report = _report(cut_body, built, options, versions, time.monotonic() - started)
        if options.input_fn is not None and tensorflow.config.list_physical_devices("GPU"):  # a CPU's times mislead
            report = with_measured_times(report, frozen, cut_body, next(iter(options.input_fn())))
        check_strict(report, options.strict)
        files = [file for each in built.values() for file in each.files]
        engines = {name: each.report.file for name, each in built.items() if each.report and each.report.file}
        plan = with_engines(cut_body, engines, allow_native=options.strict is None)
        written = folder / REPORT
        written.write_text(json.dumps(report.to_json()))
        with new_saved_model(out) as target:
            write_saved_model(frozen, plan, [written, *files], target, options.signature or _signature(frozen))
    return report


def _signature(frozen: Frozen) -> str:
    names = [name for name in frozen.loaded.signatures if not name.startswith("__")]
    return _DEFAULT_SIGNATURE if _DEFAULT_SIGNATURE in names else names[0]


def _build_all(
    cut_body: CutBody, seen: Dict[str, Seen], folder: Path, options: HybridOptions, library: _native.Library
) -> Dict[str, Built]:
    return {
        segment.name: build_segment(segment, each.body, seen.get(segment.name), folder, options, library)
        for each in cut_body.all()
        for segment in each.cuts
    }


def _report(
    cut_body: CutBody, built: Dict[str, Built], options: HybridOptions, versions: Dict[str, str], seconds: float
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
    return HybridReport("tf2trt", options.precision_mode, versions, tuple(segments), tuple(native), seconds)


def _node(cut_body: CutBody, name: str, inputs: Tuple[str, ...]) -> NodeReport:
    reason: Optional[str] = cut_body.native.get(name)
    operator = cut_body.body.node_defs[name].op
    return NodeReport(name, operator, inputs, reason, function=cut_body.body.name or None)
