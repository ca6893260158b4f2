"""Reading and writing ONNX files for the rewrites, weights beside the file included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator, List, Optional, Union

from tf2trt.errors import OnnxError, OutputError, SurgeryError
from tf2trt.extras import require
from tf2trt.onnx_files import Weight, map_weight, staged, write_onnx
from tf2trt.onnx_skeleton import check_graph, check_places, is_reference, place_of, read_skeleton, references
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.weights import add_weight, current_folder, loaded, settle

__all__ = ["has_weights_beside", "read_model", "write_model"]

PathLike = Union[str, "os.PathLike[str]"]


def read_model(path: PathLike) -> Any:
    """An ``onnx.ModelProto``: in a :func:`~tf2trt.surgery.weights.weight_folder` with references to large weights,
    which are copied into that folder unless ``path`` lies there, else with all weights in memory.

    Raises:
        OnnxError: the file, or a file of weights that it names, is missing or damaged.
        OutputError: the folder of weights takes no more.
        MissingExtraError: onnx is not installed.
    """
    onnx = require("onnx", "export")
    source = Path(path)
    if not source.is_file():
        raise OnnxError(f"there is no ONNX file at {source}")
    try:
        model = read_skeleton(source)
        check_places(source, model)
        weights = [map_weight(tensor, source.parent) for tensor in references(model)]
        _load_inner(onnx, model, source.parent)
        check_graph(model)
        _move(model, weights, source.parent)
    except OutputError:
        raise
    except Exception as error:  # protobuf's DecodeError, onnx's ValidationError, OSError of a missing weights file
        raise OnnxError(
            f"{source} cannot be read",
            received=f"{type(error).__name__}: {str(error).strip()[:500]}",
            hint="the file is truncated or is not ONNX; weights kept beside it (NAME.onnx.data) must be there too",
        ) from error
    return settle(model)


def has_weights_beside(path: PathLike) -> bool:
    """Whether some of the main graph's weights lie in files beside ``path``, a readable ONNX file."""
    source = Path(path)
    return any(place_of(tensor)[0] != source.name for tensor in references(read_skeleton(source)))


def write_model(model: Any, path: PathLike, *, beside: bool = False) -> None:
    """Writes a model whole or not at all; from 1.8 GB on, or with ``beside``, its weights in ``NAME.onnx.data``.

    Outside of a folder of weights, where they are in memory, they may move out of ``model`` to that file.

    Raises:
        OutputError: a file cannot be written.
        SurgeryError: the graph itself is too large for ONNX.
    """
    weights: List[Weight] = []
    folder: Optional[Path] = current_folder()
    if folder is not None:
        skeleton = type(model)()
        skeleton.CopyFrom(model)
        model = skeleton
        for tensor in references(model):
            weights.append(map_weight(tensor, folder))
            model.graph.initializer.remove(tensor)
        for tensor in _inner_tensors(model.graph):
            if is_reference(tensor):
                tensor.CopyFrom(loaded(tensor))
    try:
        with staged(Path(path)) as target:
            write_onnx(target, model, weights, beside=beside)
    except ValueError as error:  # protobuf's EncodeError is one
        raise SurgeryError(
            "the model cannot be written", received=str(error), hint="without its weights, a file holds 2 GiB at most"
        ) from error


def _load_inner(onnx: Any, model: Any, folder: Path) -> None:
    """Brings tensors of subgraphs and nodes that lie beside the file into memory: passes look for them there."""
    for tensor in _inner_tensors(model.graph):
        if is_reference(tensor):
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _inner_tensors(graph: Any) -> Iterator[Any]:
    """The tensors of a graph's nodes and of its bodies, its own initializers not."""
    for node in graph.node:
        for item in node.attribute:
            if item.HasField("t"):
                yield item.t
            yield from item.tensors
        for body in nested(node):
            yield from body.initializer
            yield from _inner_tensors(body)


def _move(model: Any, weights: List[Weight], source: Path) -> None:
    """Brings what the references of a model stand for into the folder of weights, or into memory."""
    folder = current_folder()
    if folder is not None and folder.samefile(source):
        return
    for tensor, weight in zip(references(model), weights):
        tensor.CopyFrom(weight.tensor)
        if folder is None:
            tensor.raw_data = weight.read().tobytes()
        else:
            add_weight(tensor, [weight.read()], weight.size)
