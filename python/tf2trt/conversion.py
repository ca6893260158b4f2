"""From a TensorFlow or Keras model to an engine in one call: export, surgery, build, verify.

Not called convert.py: a module of that name would take the place of the function ``tf2trt.convert``.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, BuildReport, Progress, build_engine
from tf2trt.build.hardware import check_hardware
from tf2trt.build.onnx_inputs import read_onnx_types
from tf2trt.errors import DeviceError, OnnxError, PluginError
from tf2trt.files import check_writable
from tf2trt.numerics import random_inputs
from tf2trt.precisions import Rules
from tf2trt.preparation import StageProgress, lowered_copy, prepare, why_no_plugins
from tf2trt.specs import TensorSpec

if TYPE_CHECKING:
    from tf2trt.build import SupportReport
    from tf2trt.export import ExportReport
    from tf2trt.surgery import SurgeryOptions, SurgeryReport
    from tf2trt.verify import VerifyReport

__all__ = ["ConvertReport", "build_for", "convert", "graph_for", "why_not_run"]

PathLike = Union[str, "os.PathLike[str]"]

# LeakyRelu is better off as TensorRT's own activation, which fuses with the convolution before it.
_DEFAULT_PLUGINS = ("l2_normalize",)

_WARMUP, _PROFILES = 3, 5  # runs before the layers are timed, and while they are

# On random inputs INT8's error says nothing about accuracy, only whether something broke: an error as large as the
# result itself. `tf2trt verify` judges it on real data.
_INT8_TOLERANCE = 1.0

# What TensorRT-RTX 1.7 builds for ahead of time, and so where such a plan runs.
_RTX_TARGETS = ((8, 0), (8, 6), (8, 9), (12, 0))


@dataclass(frozen=True)
class ConvertReport:
    """What each stage did. ``verify`` is None where the engine was not run, and ``not_run`` says why.

    ``no_plugins`` says why no plugin was made where the default would have made some.
    """

    export: ExportReport
    surgery: SurgeryReport
    support: SupportReport
    build: BuildReport
    verify: Optional[VerifyReport]
    not_run: Optional[str]
    no_plugins: Optional[str] = None

    def to_json(self) -> Dict[str, Any]:
        """The report as plain values."""
        return {
            "export": self.export.to_json(),
            "surgery": self.surgery.to_json(),
            "support": self.support.to_json(),
            "build": self.build.to_json(),
            "verify": self.verify.to_json() if self.verify else None,
            "not_run": self.not_run,
            "no_plugins": self.no_plugins,
        }


def convert(
    model: Any,
    output: PathLike,
    options: BuildOptions = BuildOptions(),
    surgery: Optional[SurgeryOptions] = None,
    *,
    signature: Optional[str] = None,
    inputs: Optional[Mapping[str, Any]] = None,
    outputs: Optional[Sequence[str]] = None,
    tags: Optional[Sequence[str]] = None,
    opset: Optional[int] = None,
    check: bool = True,
    tolerance: float = 1e-4,
    keep_onnx: Optional[PathLike] = None,
    plugins: Optional[Sequence[str]] = None,
    library: Optional[_native.Library] = None,
    stages: Optional[StageProgress] = None,
    progress: Optional[Progress] = None,
) -> ConvertReport:
    """Exports ``model``, rewrites the graph, asks TensorRT whether it takes all of it, builds ``output`` and, where
    there is a GPU, compares the engine with ONNX Runtime on random inputs.

    ``surgery``, ``signature``, ``inputs``, ``outputs``, ``tags``, ``opset``, ``check`` and ``tolerance`` are
    :func:`tf2trt.preparation.prepare`'s; ``keep_onnx`` is a file for the rewritten ONNX graph, which is otherwise
    thrown away. ``plugins`` is what becomes a plugin of ours (see :func:`tf2trt.surgery.simplify`): by default
    ``("l2_normalize",)`` where the TensorRT here takes plugins and tf2trt's plugin library is here, nothing elsewhere.
    ``stages`` is told of the stages before the build, ``progress`` of the build's own.

    Raises:
        UsageError: an argument that cannot work, such as an unknown name among ``plugins``.
        PluginError: ``plugins`` were asked for and cannot be had here.
        ExportError, SurgeryError, OnnxError, BuildError: the stage that failed; before the build, each node that
            TensorRT does not take is named.
        VerificationError: the engine's outputs differ from ONNX Runtime's.
        OutputError: a file cannot be written; found before any work is done.
    """
    from tf2trt.surgery import check_plugin_names

    engine = Path(output)
    check_writable(engine)
    if keep_onnx is not None:
        check_writable(keep_onnx)
    check_plugin_names(plugins or ())
    if library is None:
        library = libraries.find(need_builder=True)  # before the export, which takes longer
    if not options.allow_fallback:
        with contextlib.suppress(DeviceError):
            check_hardware(options.precision, options.layer_precision, _native.device())
    no_plugins = why_no_plugins(library)
    if plugins and no_plugins:
        raise PluginError(no_plugins, received=f"plugins {', '.join(plugins)}", hint="leave the plugins out")
    chosen = (() if no_plugins else _DEFAULT_PLUGINS) if plugins is None else tuple(plugins)
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        onnx = Path(folder, engine.stem + ".onnx") if keep_onnx is None else Path(keep_onnx)
        prepared = prepare(
            model,
            onnx,
            surgery,
            library=library,
            signature=signature,
            inputs=inputs,
            outputs=outputs,
            tags=tags,
            opset=opset,
            check=check,
            tolerance=tolerance,
            plugins=chosen,
            plugin_libraries=options.plugin_libraries,
            progress=stages,
        )
        assert prepared.support is not None  # there is a library
        prepared.support.raise_if_unsupported()
        built = build_for(onnx, engine, options, library=library, progress=progress)
        not_run = why_not_run(library)
        verified = None if not_run else _verify(onnx, engine, options)
    return ConvertReport(
        prepared.export,
        prepared.surgery,
        prepared.support,
        built,
        verified,
        not_run,
        no_plugins if plugins is None else None,
    )


def build_for(
    onnx: PathLike,
    output: PathLike,
    options: BuildOptions = BuildOptions(),
    *,
    library: Optional[_native.Library] = None,
    progress: Optional[Progress] = None,
) -> BuildReport:
    """:func:`tf2trt.build.build_engine`, after what the graph needs for this TensorRT (see :func:`graph_for`).

    ``BuildReport.lowered`` names the plugins that were replaced. Where the engine can be run here, the sidecar has the
    times of its layers.
    """
    if library is None:
        library = libraries.find(need_builder=True)
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        built_from, lowered = graph_for(Path(onnx), folder, options, library)
        timer = None if why_not_run(library) else partial(_time_layers, options)
        report = build_engine(built_from, output, options, library=library, progress=progress, timer=timer)
    return replace(report, lowered=lowered)


def graph_for(
    onnx: Path, folder: PathLike, options: BuildOptions, library: _native.Library
) -> Tuple[Path, Tuple[str, ...]]:
    """The file that ``library`` builds ``onnx`` from: itself, or a copy of the same name in ``folder``; and the names
    of the plugins that it lost.

    A copy is made where plugins have to be replaced by standard operators, because TensorRT takes none or tf2trt's
    plugin library is not here, where TensorRT takes its types from the graph (11 and RTX) and FP16, BF16 or the
    precision of single layers was asked for, and where a layer that has INT8 scales is to be something else. All need
    the extra ``export``.
    """
    built_from, lowered = lowered_copy(onnx, folder, library)
    wish = _graph_types(onnx, options, library)
    if wish is not None:
        from tf2trt.surgery import set_precision

        copy = Path(folder, onnx.name)
        set_precision(built_from, copy, *wish)
        built_from = copy
    return built_from, lowered


def _graph_types(onnx: Path, options: BuildOptions, library: _native.Library) -> Optional[Tuple[str, Rules]]:
    """The precision and the rules to write into the graph for this TensorRT; None where it can be built as it is.

    Where TensorRT chooses types, a quantised layer is INT8 whatever is asked of it, since its Q/DQ nodes are there.
    They are taken out, and the rule itself is TensorRT's to keep.

    Raises:
        OnnxError: there is no such file, or it is damaged.
    """
    if library.strongly_typed:
        if options.layer_precision or set(options.precision.split("+")) & {"fp16", "bf16"}:
            if not onnx.is_file():
                raise OnnxError(f"there is no ONNX file at {onnx}", hint="check the path")
            return options.precision, options.layer_precision
        return None
    if options.layer_precision and read_onnx_types(onnx):
        return "int8", tuple((name, kind if kind == "int8" else "fp32") for name, kind in options.layer_precision)
    return None


def _time_layers(options: BuildOptions, library: _native.Library, plan: Any) -> List[Tuple[str, float]]:
    """Each layer's time in milliseconds, the least of a few runs on random inputs of the shapes to tune for."""
    from tf2trt.runtime import Engine

    with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        path = Path(folder, "timed.engine")
        path.write_bytes(plan)
        with Engine.load(path, library=library, plugin_libraries=options.plugin_libraries) as engine:
            context = engine.context()
            inputs = _usual_inputs(engine.inputs, options)
            for _ in range(_WARMUP):
                context(inputs)
            runs = [context.profile() for _ in range(_PROFILES)]
    return [(name, min(run[place][1] for run in runs)) for place, (name, _) in enumerate(runs[0])]


def _usual_inputs(specs: Sequence[TensorSpec], options: BuildOptions) -> Dict[str, Any]:
    """Random inputs of the shapes to tune for; of shape tensors the values to tune for."""
    profile = options.profiles[0] if options.profiles else {}
    shaped = [replace(spec, shape=profile[spec.name].opt) if -1 in spec.shape else spec for spec in specs]
    inputs = random_inputs(shaped, seed=0)
    for spec in specs:
        if spec.name in profile and -1 not in spec.shape and spec.dtype in ("int32", "int64"):
            inputs[spec.name] = np.array(profile[spec.name].opt, spec.dtype).reshape(spec.shape)
    return inputs


def why_not_run(library: _native.Library) -> Optional[str]:
    """Why an engine that ``library`` built cannot be run on this machine; None where it can."""
    try:
        device = _native.device()
    except DeviceError as error:
        return str(error).splitlines()[0].split(" (")[0]  # without the loader's own words
    if library.kind == "rtx" and device.compute_capability not in _RTX_TARGETS:
        capability = ".".join(str(part) for part in device.compute_capability)
        return f"TensorRT-RTX {library.version_text} does not run on {device.name} (compute capability {capability})"
    return None


def _verify(onnx: Path, engine: Path, options: BuildOptions) -> VerifyReport:
    from tf2trt.runtime import Engine
    from tf2trt.verify import verify_engine

    with Engine.load(engine, plugin_libraries=options.plugin_libraries) as loaded:
        tolerance = _INT8_TOLERANCE if "int8" in options.precision else options.precision
        report = verify_engine(onnx, loaded, batch=_batch(options), tolerance=tolerance)
    report.raise_if_failed()
    return report


def _batch(options: BuildOptions) -> int:
    """The batch that the first profile is tuned for; 1 where all shapes are static."""
    extents: Tuple[int, ...] = tuple(
        shapes.opt[0] for profile in options.profiles[:1] for shapes in profile.values() if shapes.opt
    )
    return extents[0] if extents else 1
