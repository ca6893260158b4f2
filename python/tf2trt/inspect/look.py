"""One call for both kinds of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Sequence, Union

from tf2trt.errors import UsageError
from tf2trt.inspect.engine import inspect_engine
from tf2trt.inspect.inspection import Inspection

__all__ = ["inspect"]

PathLike = Union[str, "os.PathLike[str]"]


def inspect(path: PathLike, *, profile: bool = False, plugin_libraries: Sequence[PathLike] = ()) -> Inspection:
    """Describes an ONNX file (known by its ending, ``.onnx``) or an engine (all else).

    Args:
        profile: run the engine on random inputs and time its layers; see :func:`tf2trt.inspect.engine.inspect_engine`.
        plugin_libraries: those that the engine was built with, tf2trt's own excepted.

    Raises:
        UsageError: ``profile`` of an ONNX file.
        OnnxError: the ONNX file is missing or damaged.
        EngineError: the engine is missing, damaged or no plan; with ``profile`` also: it does not run here.
        DeviceError, LibraryError, PluginError: with ``profile``: why it does not run here.
        MissingExtraError: onnx is not installed.
    """
    file = Path(path)
    if file.suffix.lower() != ".onnx":
        return inspect_engine(file, profile=profile, plugin_libraries=plugin_libraries)
    if profile:
        raise UsageError(
            "profile", received=file.name, expected="an engine", hint="an ONNX file has no times: build it"
        )
    from tf2trt.inspect.onnx_network import read_onnx

    found = read_onnx(file)
    return Inspection(
        path=str(file),
        kind="onnx",
        source="file",
        network=found.network,
        before=None,
        profiles=(),
        versions=found.versions,
        build={},
        memory={"file": file.stat().st_size, "weights": found.weights_bytes},
        plugins=dict.fromkeys(found.plugins, "not an operator of ONNX"),
        times=None,
        notes=tuple(found.notes),
    )
