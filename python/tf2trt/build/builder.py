"""One build: checks first, then TensorRT, then the plan and its sidecar on disk."""

from __future__ import annotations

import datetime
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Optional, Tuple, Union

import tf2trt
from tf2trt import _native, libraries
from tf2trt.build.inspection import built_layer_types
from tf2trt.build.onnx_inputs import read_onnx_inputs
from tf2trt.build.options import BuildOptions, Progress
from tf2trt.build.profiles import check_profiles
from tf2trt.errors import BuildError, DeviceError, OutputError, UsageError
from tf2trt.files import atomic_write, check_writable
from tf2trt.sidecar import Sidecar, plugin_entry, sha256
from tf2trt.specs import TensorSpec

__all__ = ["BuildReport", "build_engine"]

PathLike = Union[str, "os.PathLike[str]"]

_DEFAULTS = BuildOptions()

# The type that must be among the layers where a precision was asked for; for the others any type will do.
_REQUIRED_TYPE = {"fp16": "float16", "bf16": "bfloat16"}


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
) -> BuildReport:
    """Builds ``onnx`` into the TensorRT plan ``output`` and writes ``output``.json beside it.

    Everything that can be known beforehand is checked before TensorRT starts, and both files are written whole or not
    at all. ``library`` is the TensorRT to build with, by default the first one found that can build. The GIL is
    released while TensorRT works.

    Raises:
        UsageError: a dynamic input without shapes, a shape tensor without values, or a precision that this TensorRT
            lacks.
        OnnxError: the ONNX file is missing, truncated, or holds what TensorRT's parser does not know.
        LibraryNotFoundError: no TensorRT that can build was found.
        DeviceError: this TensorRT needs a GPU to build, and there is none.
        PluginError: a plugin library is missing, or TensorRT refuses it.
        BuildError: TensorRT refused, or the precision asked for is in no layer.
        OutputError: the engine or the timing cache cannot be written.
    """
    model, engine = Path(onnx), Path(output)
    check_writable(engine)
    if options.timing_cache is not None:
        check_writable(options.timing_cache)
    for path in options.plugin_libraries:
        plugin_entry(path)  # a missing one is an error now
    inputs = read_onnx_inputs(model)
    check_profiles(inputs, options.profiles)
    if library is None:
        library = libraries.find(need_builder=True)
    _check_precision(options.precision, library)
    device = _device(library)
    onnx_hash = _hash_of(model)

    result = _native.build(library, str(model), _native_options(options), progress)

    found = result.layer_types
    if not library.strongly_typed:  # TensorRT chose layer by layer: only the engine itself knows
        found = built_layer_types(library, result.plan)
    _check_found(options.precision, found, library)
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
    )
    # The plan first: should the second write fail, a new plan beside an old sidecar is refused when it is loaded.
    atomic_write(engine, result.plan)
    sidecar.write(engine)
    return BuildReport(engine, sidecar, tuple(result.log), result.seconds)


def _check_precision(precision: str, library: _native.Library) -> None:
    if precision == "bf16" and library.generation < 10:
        raise UsageError(
            f"TensorRT {library.version_text} has no BF16",
            received="precision bf16",
            expected="fp32, tf32 or fp16",
            hint="use fp16, or TensorRT 10 or later",
        )


def _check_found(precision: str, layer_types: Dict[str, int], library: _native.Library) -> None:
    """On 11 and TensorRT-RTX the graph's own types are the engine's; elsewhere TensorRT chooses layer by layer."""
    wanted = _REQUIRED_TYPE.get(precision)
    if wanted is None or not library.strongly_typed or layer_types.get(wanted, 0) > 0:
        return
    raise BuildError(
        f"{precision} was asked for, but no layer of the engine computes in it",
        received=", ".join(f"{count} layers of {name}" for name, count in sorted(layer_types.items())),
        expected=f"layers of {wanted}: TensorRT {library.version_text} takes the types that the graph holds",
        hint="convert the graph first with tf2trt.surgery.to_fp16, or use `tf2trt convert --precision fp16`, which does"
        if precision == "fp16"
        else "export the model in bfloat16",
    )


def _device(library: _native.Library) -> Optional[_native.Device]:
    """The GPU that the engine is built for; None where TensorRT-RTX builds ahead of time without one."""
    try:
        return _native.device()
    except DeviceError:
        if library.builds_without_gpu:
            return None
        raise


def _native_options(options: BuildOptions) -> _native.BuilderOptions:
    native = _native.BuilderOptions()
    native.precision = options.precision
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
