"""Builds a segment's engine, after a look at whether its ONNX file computes what TensorFlow does."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from tf2trt import _native
from tf2trt.build import MINIMUM_SHARE, BuildOptions, BuildReport
from tf2trt.build.onnx_inputs import read_onnx_inputs
from tf2trt.conversion import build_for, graph_for
from tf2trt.errors import BuildError, EngineError, ModelError, UsageError, VerificationError
from tf2trt.hybrid.cut import Cut
from tf2trt.hybrid.frozen import Body
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.report import EngineReport
from tf2trt.hybrid.segment_data import Scales
from tf2trt.hybrid.shapes import Seen
from tf2trt.numerics import relative_error
from tf2trt.preparation import lowered_copy
from tf2trt.specs import ShapeRange
from tf2trt.verify import OnnxReference

__all__ = ["TOLERANCE", "Built", "RunTimeSource", "build_segment"]

TOLERANCE = 1e-3
"""The largest relative error of a segment's ONNX file against TensorFlow, both in FP32."""

_FULL = ("fp32", "tf32")  # of which nothing falls back
_VALUES = 64  # elements of an input that may decide shapes; more hold data


@dataclass(frozen=True)
class RunTimeSource:
    """What a segment's engines are built from at run time: an ONNX file with all that this TensorRT needs in it, the
    precision, and the cache of TensorRT's calibrator where the scales are in that.
    """

    onnx: Path
    precision: str
    calibration: Optional[Path] = None

    @property
    def files(self) -> Tuple[Path, ...]:
        """All files of it: large weights lie beside the ONNX file."""
        beside = (self.onnx.with_name(f"{self.onnx.name}.data"), self.calibration)
        return (self.onnx, *(path for path in beside if path is not None and path.exists()))


@dataclass(frozen=True)
class Built:
    """What became of a segment: the engine's file, or the reason why there is none (in ``report`` or ``reason``).

    ``source`` is what engines are built from at run time, None where none are. ``files`` are all that belong among the
    assets. ``note`` is a sentence for the report.
    """

    report: Optional[EngineReport]
    reason: Optional[str] = None
    files: Tuple[Path, ...] = ()
    source: Optional[RunTimeSource] = None
    note: Optional[str] = None


def build_segment(
    segment: Cut,
    body: Body,
    seen: Optional[Seen],
    folder: Path,
    options: HybridOptions,
    library: _native.Library,
    scales: Optional[Scales] = None,
) -> Built:
    """Builds ``segment``'s engine into ``folder``. What fails is a reason in the result and no exception: the segment
    then stays with TensorFlow.

    ``seen`` is what the segment was called with; None where nobody knows: then engines are built at run time, if that
    is allowed. Where it is, a segment that can be called with other shapes keeps its ONNX file. ``scales`` are a
    calibrated segment's.

    Raises:
        MissingExtraError: ONNX Runtime (extra ``verify``) is not installed.
        DeviceError, LibraryError: TensorRT cannot build here.
    """
    onnx = segment.accepted.onnx
    dynamic = [spec.name for spec in read_onnx_inputs(onnx) if -1 in spec.shape]
    if seen is None and dynamic:
        known = "input_fn's batches do not reach it" if options.input_fn else "there is no input_fn to tell them"
        reason = f"the shapes of its inputs are not known before it runs, and {known}"
        source = _source(segment, folder, options, library, scales)
        if source is None:
            return Built(None, reason)
        return Built(None, f"{reason}; its engines are built as they are needed", source.files, source)
    ranges = seen.ranges(segment.accepted.inputs) if seen else {}
    started = time.monotonic()
    try:
        if seen:
            _compare(segment, seen, folder, library)
        target = folder / f"{segment.name}.engine"
        profiles = _profiles(segment, seen, dynamic, options)
        report = _build(segment, seen, target, profiles, options, library, scales)
        _check_types(segment, body, report)
    except (BuildError, EngineError, ModelError, UsageError, VerificationError) as error:
        reason = " ".join(str(error).split())
        return Built(EngineReport(ranges, None, time.monotonic() - started, reason))
    files: Tuple[Path, ...] = (target, Path(f"{target}.json"))
    seconds = time.monotonic() - started
    source = _source(segment, folder, options, library, scales) if dynamic else None
    files = (*files, *(source.files if source else ()))
    return Built(EngineReport(ranges, target.name, seconds), None, files, source, _fallback(segment, report))


def _source(
    segment: Cut, folder: Path, options: HybridOptions, library: _native.Library, scales: Optional[Scales]
) -> Optional[RunTimeSource]:
    """None where nothing is to be built at run time, or cannot be: a calibrator has no scales before a build."""
    calibrator = scales.calibrator if scales else None
    if not options.allow_build_at_runtime or (calibrator and not calibrator.cache):
        return None
    kept = folder / "kept"
    kept.mkdir(exist_ok=True)
    chosen = _build_options(options, scales)
    onnx, _ = graph_for(scales.onnx if scales else segment.accepted.onnx, kept, chosen, library)
    if not onnx.with_name(f"{onnx.name}.data").exists():  # which is found by its name
        onnx = Path(shutil.copyfile(onnx, kept / f"{segment.name}.onnx"))
    if calibrator is None:
        return RunTimeSource(onnx, chosen.precision)
    calibration = kept / f"{segment.name}.calibration"
    calibration.write_bytes(calibrator.cache)
    return RunTimeSource(onnx, chosen.precision, calibration)


def _compare(segment: Cut, seen: Seen, folder: Path, library: _native.Library) -> None:
    """Makes sure that ONNX Runtime gives what TensorFlow gave.

    Raises:
        VerificationError: it does not.
    """
    onnx, _ = lowered_copy(segment.accepted.onnx, folder, library)
    reference = OnnxReference(onnx)
    for inputs, outputs in seen.calls:
        found = reference(dict(zip(segment.accepted.inputs, inputs)))
        for name, wanted in zip(segment.accepted.outputs, outputs):
            if not np.isfinite(wanted.astype(np.float64)).all():
                continue  # nothing to compare with
            error = relative_error(found[name], wanted)
            if not error <= TOLERANCE:
                raise VerificationError(
                    "its ONNX form computes something else than TensorFlow",
                    received=f"relative error {error:.2g} of {name}",
                    expected=f"at most {TOLERANCE:g}",
                )


def _profiles(
    segment: Cut, seen: Optional[Seen], dynamic: Sequence[str], options: HybridOptions
) -> List[Dict[str, ShapeRange]]:
    if seen is None or not dynamic:
        return []
    strategy = options.dynamic_shape_profile_strategy if options.use_dynamic_shape else "Range"
    found: List[Dict[str, ShapeRange]] = []
    for profile in seen.profiles(segment.accepted.inputs, strategy):
        chosen = {name: profile[name] for name in dynamic}
        if chosen not in found:
            found.append(chosen)
    return found


def _build(
    segment: Cut,
    seen: Optional[Seen],
    target: Path,
    profiles: Sequence[Mapping[str, ShapeRange]],
    options: HybridOptions,
    library: _native.Library,
    scales: Optional[Scales],
) -> BuildReport:
    def build(chosen_profiles: Sequence[Mapping[str, ShapeRange]]) -> BuildReport:
        chosen = replace(
            _build_options(options, scales),
            profiles=tuple(chosen_profiles),
            calibration=scales.calibrator if scales else None,
        )
        return build_for(scales.onnx if scales else segment.accepted.onnx, target, chosen, library=library)

    try:
        return build(profiles)
    except UsageError as error:
        # Which inputs decide shapes, and so need values, is known once TensorRT has parsed the file.
        values = _values(segment, seen, str(error))
        if not values:
            raise
        return build([{**profile, **values} for profile in profiles or [{}]])


def _build_options(options: HybridOptions, scales: Optional[Scales]) -> BuildOptions:
    precision = scales.precision if scales else options.precision
    # A segment is what the cut left of a model: it may have nothing that computes in the type, or few layers, for which
    # TensorRT finds another one faster. That is told in a note, and no reason to leave it to TensorFlow.
    return BuildOptions(
        precision=precision,
        workspace=options.max_workspace_size_bytes,
        allow_fallback=precision not in _FULL,
    )


def _fallback(segment: Cut, report: BuildReport) -> Optional[str]:
    asked, proof = report.sidecar.precision_asked, report.sidecar.proof
    if asked in _FULL or proof is None or proof.share is None or proof.share >= MINIMUM_SHARE:
        return None
    return f"{segment.name}: {proof.share:.0%} of its convolutions and matrix products are in {asked}, as asked"


def _values(segment: Cut, seen: Optional[Seen], message: str) -> Dict[str, ShapeRange]:
    """The values met of inputs that may be shape tensors, where ``message`` says that one is."""
    if seen is None or "is a shape tensor" not in message:
        return {}
    found = {}
    for place, name in enumerate(segment.accepted.inputs):
        arrays = [inputs[place] for inputs, _ in seen.calls]
        if arrays[0].dtype.kind in "iu" and arrays[0].ndim <= 1 and 0 < arrays[0].size <= _VALUES:
            rows = [tuple(int(value) for value in array.reshape(-1)) for array in arrays]
            found[name] = ShapeRange(tuple(map(min, zip(*rows))), rows[-1], tuple(map(max, zip(*rows))))
    return found


def _check_types(segment: Cut, body: Body, report: BuildReport) -> None:
    """TensorFlow hands its memory over as it is, so that the engine's types have to be TensorFlow's.

    Raises:
        BuildError: one is another, as TensorRT 8 makes int32 of int64.
    """
    piece, accepted = segment.accepted.piece, segment.accepted
    wanted = {name: body.tensor(tensor).dtype.name for name, tensor in zip(accepted.inputs, piece.reads)}
    wanted.update({name: body.tensor(tensor).dtype.name for name, tensor in zip(accepted.outputs, piece.gives)})
    found = {spec.name: spec.dtype for spec in (*report.sidecar.inputs, *report.sidecar.outputs)}
    odd = [
        f"{name} is {found.get(name, 'missing')}, not {dtype}"
        for name, dtype in wanted.items()
        if found.get(name) != dtype
    ]
    if odd:
        raise BuildError("the engine's tensors are not TensorFlow's", received="; ".join(odd))
