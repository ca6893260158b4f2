"""From a model of any kind to the ONNX file that TensorRT gets: export, surgery, and TensorRT's own verdict."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Union

from tf2trt import _native
from tf2trt.files import check_writable
from tf2trt.onnx_files import check_target, temporary_folder

if TYPE_CHECKING:
    from tf2trt.build import SupportReport
    from tf2trt.export import ExportReport
    from tf2trt.surgery import SurgeryOptions, SurgeryReport

__all__ = ["PreparationReport", "lowered_copy", "prepare", "why_no_plugins"]

PathLike = Union[str, "os.PathLike[str]"]
StageProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PreparationReport:
    """What each stage did. ``support`` is None where there was no TensorRT to ask."""

    export: ExportReport
    surgery: SurgeryReport
    support: Optional[SupportReport]

    def to_json(self) -> Dict[str, Any]:
        """The report as plain values."""
        return {
            "export": self.export.to_json(),
            "surgery": self.surgery.to_json(),
            "support": self.support.to_json() if self.support else None,
        }


def prepare(
    model: Any,
    output: PathLike,
    surgery: Optional[SurgeryOptions] = None,
    *,
    library: Optional[_native.Library],
    signature: Optional[str] = None,
    inputs: Optional[Mapping[str, Any]] = None,
    outputs: Optional[Sequence[str]] = None,
    tags: Optional[Sequence[str]] = None,
    opset: Optional[int] = None,
    check: bool = True,
    tolerance: float = 1e-4,
    plugins: Sequence[str] = (),
    plugin_libraries: Sequence[PathLike] = (),
    progress: Optional[StageProgress] = None,
) -> PreparationReport:
    """Exports ``model``, rewrites the graph, writes ``output`` and asks ``library`` which of its nodes it takes.

    ``signature``, ``inputs``, ``tags``, ``opset``, ``check`` and ``tolerance`` are :func:`tf2trt.export.export`'s; of
    an ONNX file ``inputs`` sets the shapes in surgery. ``outputs`` are a frozen graph's, or for all other kinds the
    tensors, nodes or layers of the graph to give out. ``surgery`` and ``plugins`` are
    :func:`tf2trt.surgery.simplify`'s.
    ``library`` None: nobody is asked.

    Beside a model that is in memory already, its weights are never there more than once more. While this runs they lie
    beside ``output`` as well, where there has to be space for them three times.

    Raises:
        UsageError: an argument that cannot work.
        ExportError, SurgeryError, OnnxError: the stage that failed; nothing is left behind.
        OutputError: ``output`` cannot be written; found before any work is done.
    """
    from tf2trt.export.pipeline import export_scratch
    from tf2trt.surgery import SurgeryOptions, check_options
    from tf2trt.surgery.files import has_weights_beside
    from tf2trt.surgery.runner import simplify_in

    target, options = Path(output), surgery or SurgeryOptions()
    check_writable(target)
    of_graph: Dict[str, Any] = {"inputs": inputs, "outputs": outputs}
    suffix = Path(model).suffix.lower() if isinstance(model, (str, os.PathLike)) else ""
    if outputs and suffix != ".pb":
        options = replace(options, interface=replace(options.interface, outputs=tuple(outputs)))
        of_graph["outputs"] = None
    if inputs and suffix == ".onnx":
        options = replace(options, interface=replace(options.interface, shapes=dict(inputs)))
        of_graph["inputs"] = None
    check_options(options, plugins)
    if suffix == ".onnx":
        check_target(Path(model), target)
    # Elsewhere first, so that a rewrite that fails leaves nothing behind.
    with temporary_folder(target) as folder:
        raw = folder / "exported.onnx"
        exported = export_scratch(
            model,
            raw,
            signature=signature,
            tags=tags,
            opset=opset,
            check=check,
            tolerance=tolerance,
            progress=progress,
            **of_graph,
        )
        beside = suffix == ".onnx" and has_weights_beside(model)
        if progress:
            progress("rewriting", 0, 1)
        rewritten = simplify_in(folder, raw, target, options, plugins=plugins, beside=beside)
    support = None
    if library is not None:
        if progress:
            progress("asking TensorRT", 0, 1)
        support = _ask(target, library, plugin_libraries)
    return PreparationReport(replace(exported, output=target), rewritten, support)


def lowered_copy(onnx: Path, folder: PathLike, library: _native.Library) -> Tuple[Path, Tuple[str, ...]]:
    """``onnx``, or a copy of it in ``folder`` without the plugins that cannot be had here, and the names of those.

    A copy needs the extra ``export``.
    """
    lowered = _native.plugin_operators(str(onnx)) if why_no_plugins(library) else []
    if not lowered:
        return onnx, ()
    from tf2trt.surgery import lower_plugins

    copy = Path(folder, onnx.name)
    lower_plugins(onnx, copy)
    return copy, tuple(lowered)


def why_no_plugins(library: _native.Library) -> Optional[str]:
    """Why tf2trt's plugins cannot be used with ``library`` on this machine; None where they can."""
    if library.kind == "rtx":
        return f"TensorRT-RTX {library.version_text} takes no plugins"
    if not _native.find_plugin_library():
        return "tf2trt's plugin library is not installed: there was no nvcc when tf2trt was"
    return None


def _ask(onnx: Path, library: _native.Library, plugin_libraries: Sequence[PathLike]) -> SupportReport:
    from tf2trt.build import check_support

    with temporary_folder(onnx) as folder:
        asked, _ = lowered_copy(onnx, folder, library)
        return check_support(asked, plugin_libraries=plugin_libraries, library=library)
