"""One build: checks first, then TensorRT, then the plan and its sidecar on disk."""

from __future__ import annotations

import datetime
import logging
import mmap
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

import tf2trt
from tf2trt import _native, libraries
from tf2trt.build.hardware import check_hardware
from tf2trt.build.onnx_inputs import read_onnx_inputs, read_onnx_origins, read_onnx_types
from tf2trt.build.options import BuildOptions, Progress
from tf2trt.build.profiles import check_profiles
from tf2trt.build.proof import LayerTimer, inspect_engine, prove, refuse_fallback
from tf2trt.errors import DeviceError, OutputError, Tf2TrtError, UsageError
from tf2trt.files import atomic_write, check_writable
from tf2trt.precisions import PrecisionProof
from tf2trt.sidecar import Sidecar, plugin_entry, sha256
from tf2trt.specs import TensorSpec

__all__ = ["BuildReport", "build_engine"]

PathLike = Union[str, "os.PathLike[str]"]

_DEFAULTS = BuildOptions()

# Where types are the graph's own there is but one flag, TF32, which "fp32" turns off.
_FLAGS = {"int8": "fp32", "int8+fp16": "fp16"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildReport:
    """What a build left behind: the plan's path, its sidecar, TensorRT's warnings, and the seconds it took.

    ``lowered`` names the plugins that were replaced by standard operators because there are none here.
    """

    engine: Path
    sidecar: Sidecar
    log: Tuple[str, ...]
    seconds: float
    lowered: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """The report as plain values."""
        return {
            "engine": str(self.engine),
            "seconds": self.seconds,
            "log": list(self.log),
            "lowered": list(self.lowered),
            "sidecar": self.sidecar.to_json(),
        }


def build_engine(
    onnx: PathLike,
    output: PathLike,
    options: BuildOptions = _DEFAULTS,
    *,
    library: Optional[_native.Library] = None,
    progress: Optional[Progress] = None,
    timer: Optional[LayerTimer] = None,
) -> BuildReport:
    """Builds ``onnx`` into the TensorRT plan ``output`` and writes ``output``.json beside it.

    Everything that can be known beforehand is checked before TensorRT starts, and both files are written whole or not
    at all. ``library`` is the TensorRT to build with, by default the first one found that can build. The GIL is
    released while TensorRT works.

    What was built is read back, layer by layer, into the sidecar (see :mod:`tf2trt.build.proof`), with the layers'
    times where a ``timer`` is given. An engine that is not in the precision asked for is refused unless
    ``options.allow_fallback``.

    Raises:
        UsageError: a dynamic input without shapes, a shape tensor without values, a precision that this TensorRT or
            the GPU lacks, or INT8 for a network that has no scales and gets none.
        OnnxError: the ONNX file is missing, truncated, or holds what TensorRT's parser does not know.
        LibraryNotFoundError: no TensorRT that can build was found.
        DeviceError: this TensorRT needs a GPU to build, and there is none.
        PluginError: a plugin library is missing, or TensorRT refuses it.
        BuildError: TensorRT refused, or too few layers are in the precision asked for; the message names them.
        OutputError: the engine or the timing cache cannot be written.
    """
    model, engine = Path(onnx), Path(output)
    check_writable(engine)
    if options.timing_cache is not None:
        check_writable(options.timing_cache)
    for path in options.plugin_libraries:
        plugin_entry(path)  # a missing one is an error now
    inputs, origins = read_onnx_inputs(model), read_onnx_origins(model)
    check_profiles(inputs, options.profiles)
    if library is None:
        library = libraries.find(need_builder=True)
    types = read_onnx_types(model)
    _check_precision(options, types, library)
    device = _device(library)
    if not options.allow_fallback:
        check_hardware(options.precision, options.layer_precision, device, types)
    onnx_hash = _hash_of(model)

    result = _native.build(library, str(model), _native_options(options, library), progress)

    proof, found = _prove(options, library, result, timer)
    if not options.allow_fallback:
        refuse_fallback(options.precision, options.layer_precision, proof, found, library)
    if options.timing_cache is not None and result.timing_cache:
        atomic_write(options.timing_cache, result.timing_cache)
    sidecar = Sidecar(
        tf2trt=tf2trt.__version__,
        tensorrt=library.version_text,
        generation=library.generation,
        kind=library.kind,
        version_compatible=options.version_compatible,
        device_name=device.name if device else None,
        compute_capability=device.compute_capability if device else None,
        inputs=_specs(result.inputs),
        outputs=_specs(result.outputs),
        profiles=options.profiles,
        precision_asked=options.precision,
        precision_found=found,
        plugins=tuple(plugin_entry(path) for path in result.plugin_libraries),
        onnx_file=model.name,
        onnx_sha256=onnx_hash,
        plan_sha256=sha256(result.plan),
        plan_bytes=result.plan.nbytes,
        seconds=result.seconds,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        layer_precision=options.layer_precision,
        proof=proof,
        origins=origins,
    )
    # The plan first: should the second write fail, a new plan beside an old sidecar is refused when it is loaded.
    atomic_write(engine, result.plan)
    sidecar.write(engine)
    return BuildReport(engine, sidecar, tuple(result.log), result.seconds)


def _check_precision(options: BuildOptions, types: Sequence[str], library: _native.Library) -> None:
    asked = [*options.precision.split("+"), *(kind for _, kind in options.layer_precision)]
    if "bf16" in asked and library.generation < 10:
        raise UsageError(
            f"TensorRT {library.version_text} has no BF16",
            received="precision bf16",
            expected="fp32, tf32 or fp16",
            hint="use fp16, or TensorRT 10 or later",
        )
    quantised = "int8" in types or "fp8" in types
    if options.calibration is not None and library.strongly_typed:
        raise UsageError(
            f"TensorRT {library.version_text} has no calibrators",
            received="calibration data",
            expected="a network with QuantizeLinear and DequantizeLinear nodes",
            hint="make one with tf2trt calibrate",
        )
    # Rules may have taken the last scale out of the graph.
    given = quantised or options.calibration is not None or options.layer_precision
    if "int8" in options.precision and not given:
        raise UsageError(
            f"precision {options.precision} needs scales, and the network has none",
            received="no QuantizeLinear or DequantizeLinear node",
            expected="a quantised network"
            + ("" if library.strongly_typed else ", or calibration data for TensorRT's own calibrator (--calib)"),
            hint="quantise it with tf2trt calibrate",
        )


def _prove(
    options: BuildOptions, library: _native.Library, result: _native.BuildResult, timer: Optional[LayerTimer]
) -> Tuple[PrecisionProof, Mapping[str, int]]:
    """The proof of what was built, and how many layers give each type."""
    asked = (options.precision, options.layer_precision, result.network_layers)
    if not library.strongly_typed:  # TensorRT chose layer by layer: only the engine itself knows
        information = inspect_engine(library, result.plan)
        return prove(*asked, information=information, times=_times(timer, library, result.plan))
    proof, _ = prove(*asked)
    times = _times(timer, library, result.plan)
    if times:
        timed, _ = prove(*asked, information=inspect_engine(library, result.plan), times=times)
        proof = replace(proof, time_share=timed.time_share)
    return proof, result.layer_types


def _times(timer: Optional[LayerTimer], library: _native.Library, plan: Any) -> Sequence[Tuple[str, float]]:
    """The times of the layers; none, with a warning in the log, where the plan could not be run for them."""
    try:
        return timer(library, plan) if timer is not None else ()
    except Tf2TrtError as error:  # a finished build is not lost for it
        _log.warning("the built layers were not timed: %s", error)
        return ()


def _device(library: _native.Library) -> Optional[_native.Device]:
    """The GPU that the engine is built for; None where TensorRT-RTX builds ahead of time without one."""
    try:
        return _native.device()
    except DeviceError:
        if library.builds_without_gpu:
            return None
        raise


def _native_options(options: BuildOptions, library: _native.Library) -> _native.BuilderOptions:
    native = _native.BuilderOptions()
    native.precision = options.precision
    if library.strongly_typed:  # the graph has the types
        has_fp32 = options.precision != "tf32" and any(kind == "fp32" for _, kind in options.layer_precision)
        native.precision = "fp32" if has_fp32 else _FLAGS.get(options.precision, options.precision)
    elif options.layer_precision:
        native.layer_precision = list(options.layer_precision)
    if options.calibration is not None:
        native.calibrator = options.calibration
    native.version_compatible = options.version_compatible
    native.profiles = [
        {name: (shapes.min, shapes.opt, shapes.max) for name, shapes in profile.items()} for profile in options.profiles
    ]
    native.plugin_libraries = [os.fspath(path) for path in options.plugin_libraries]
    if options.workspace is not None:
        native.workspace = options.workspace
    if options.optimization_level is not None:
        native.optimization_level = options.optimization_level
    if options.timing_cache is not None:
        native.timing_cache = _read_if_there(Path(options.timing_cache))
    return native


def _read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise OutputError(f"cannot read the timing cache {path}", received=error.strerror or str(error)) from error


def _hash_of(path: Path) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return sha256(data)


def _specs(tensors: Iterable[_native.TensorInfo]) -> Tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in tensors)
