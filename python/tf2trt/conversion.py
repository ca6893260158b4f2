"""From a TensorFlow or Keras model to an engine in one call: export, surgery, build, verify.

Not called convert.py: a module of that name would take the place of the function ``tf2trt.convert``.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, BuildReport, Progress, build_engine
from tf2trt.errors import DeviceError, OnnxError, PluginError
from tf2trt.files import check_writable
from tf2trt.preparation import StageProgress, lowered_copy, prepare, why_no_plugins

if TYPE_CHECKING:
    from tf2trt.build import SupportReport
    from tf2trt.export import ExportReport
    from tf2trt.surgery import SurgeryOptions, SurgeryReport
    from tf2trt.verify import VerifyReport

__all__ = ["ConvertReport", "build_for", "convert", "why_not_run"]

PathLike = Union[str, "os.PathLike[str]"]

# LeakyRelu is better off as TensorRT's own activation, which fuses with the convolution before it.
_DEFAULT_PLUGINS = ("l2_normalize",)

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
    """:func:`tf2trt.build.build_engine`, after what the graph needs for this TensorRT.

    A copy of the graph is made where plugins have to be replaced by standard operators, because TensorRT takes none or
    tf2trt's plugin library is not here (``BuildReport.lowered`` names them), and where FP16 was asked for and TensorRT
    takes its types from the graph (11 and RTX). Both need the extra ``export``.
    """
    if library is None:
        library = libraries.find(need_builder=True)
    source = Path(onnx)
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        built_from, lowered = lowered_copy(source, folder, library)
        if options.precision == "fp16" and library.strongly_typed:
            from tf2trt.surgery import to_fp16

            if not source.is_file():
                raise OnnxError(f"there is no ONNX file at {source}", hint="check the path")
            copy = Path(folder, source.name)
            to_fp16(built_from, copy)
            built_from = copy
        report = build_engine(built_from, output, options, library=library, progress=progress)
    return dataclasses.replace(report, lowered=lowered)


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
        report = verify_engine(onnx, loaded, batch=_batch(options), tolerance=options.precision)
    report.raise_if_failed()
    return report


def _batch(options: BuildOptions) -> int:
    """The batch that the first profile is tuned for; 1 where all shapes are static."""
    extents: Tuple[int, ...] = tuple(
        shapes.opt[0] for profile in options.profiles[:1] for shapes in profile.values() if shapes.opt
    )
    return extents[0] if extents else 1
