"""SavedModel folders: written by TensorFlow 1 or 2, by Keras 2's ``save`` or by Keras 3's ``export``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.source import NamedTensors, Source, brief, spec_from
from tf2trt.extras import require

__all__ = ["is_saved_model", "source"]

_DEFAULT = "serving_default"
_OLD_VARIABLES = ("Variable", "VariableV2")


def is_saved_model(path: Path) -> bool:
    """Whether ``path`` is a folder with a SavedModel in it."""
    return any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))


def source(tensorflow: Any, path: Path, signature: Optional[str], tags: Optional[Sequence[str]]) -> Source:
    """One signature of a SavedModel: inputs and outputs have the signature's argument and result names, sorted.

    Without ``signature`` it is ``serving_default``, or the only one there is.

    Raises:
        UsageError: the signature or the tags are not there, or several are and none was asked for; the message lists
            them.
        ExportError: TensorFlow cannot load the folder, or it holds no signature.
    """
    graphs = _graphs(path)
    _check_tags(path, graphs, tags)
    try:
        loaded = tensorflow.saved_model.load(str(path), tags=list(tags) if tags else None)
    except Exception as error:
        raise ExportError(
            f"TensorFlow cannot load the SavedModel {path}",
            received=brief(error),
        ) from error
    signatures = {name: fn for name, fn in dict(loaded.signatures).items() if not name.startswith("__")}
    chosen = _choose(path, loaded, signatures, signature)
    function = signatures[chosen]
    specs = _arguments(function)
    call = _caller(tensorflow, path, function, [spec.name for spec in specs])

    def run(tensors: Sequence[Any]) -> NamedTensors:
        return sorted(call(tensors).items(), key=lambda item: _natural(item[0]))

    # `loaded` rides along: a signature alone does not keep the model's variables alive.
    run.model = loaded  # type: ignore[attr-defined]
    detected = f"SavedModel ({_written_by(loaded, graphs)}), signature {chosen}"
    if len(signatures) > 1:
        detected += f" of {len(signatures)}: {', '.join(sorted(signatures))}"
    return Source("saved_model", path.name, tuple(specs), run, detected)


def _graphs(path: Path) -> List[Any]:
    """The MetaGraphs in ``saved_model.pb``; none where it is text or damaged, which loading it then tells."""
    saved_model = require("tensorflow.core.protobuf.saved_model_pb2", "export").SavedModel()
    try:
        saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    except Exception:  # noqa: BLE001 (OSError, or protobuf's DecodeError, which differs from version to version)
        return []
    return list(saved_model.meta_graphs)


def _check_tags(path: Path, graphs: Sequence[Any], tags: Optional[Sequence[str]]) -> None:
    there = [sorted(graph.meta_info_def.tags) for graph in graphs]
    listed = "; ".join(",".join(each) or "(no tag)" for each in there)
    if tags is None and len(there) > 1:
        raise UsageError(
            f"the SavedModel {path} holds several graphs, told apart by their tags",
            expected=listed,
            hint=f"choose one: tags={there[0]}",
        )
    if tags is not None and there and sorted(tags) not in there:
        raise UsageError(f"the SavedModel {path} has no graph with these tags", received=list(tags), expected=listed)


def _written_by(loaded: Any, graphs: Sequence[Any]) -> str:
    version = str(getattr(loaded, "tensorflow_version", "") or "")
    if any(not graph.HasField("object_graph_def") for graph in graphs):
        return f"TensorFlow 1 graph, TensorFlow {version}"
    nodes = [node for graph in graphs for node in graph.object_graph_def.nodes]
    if any(node.user_object.identifier.startswith("_tf_keras") for node in nodes):
        return f"Keras 2 model, TensorFlow {version}"
    if any(child.local_name == "_misc_assets" for node in nodes[:1] for child in node.children):
        return f"Keras 3 export, TensorFlow {version}"
    return f"TensorFlow {version}"


def _choose(path: Path, loaded: Any, signatures: Dict[str, Any], wanted: Optional[str]) -> str:
    listed = ", ".join(sorted(signatures))
    if not signatures:
        raise _no_signature(path, loaded)
    if wanted is not None:
        if wanted not in signatures:
            raise UsageError(f"the SavedModel {path} has no such signature", received=wanted, expected=listed)
        return wanted
    if _DEFAULT in signatures:
        return _DEFAULT
    if len(signatures) > 1:
        raise UsageError(
            f"the SavedModel {path} has several signatures and none is {_DEFAULT}",
            expected=listed,
            hint=f"choose one: signature={sorted(signatures)[0]!r} (on the command line: --signature)",
        )
    return next(iter(signatures))


def _no_signature(path: Path, loaded: Any) -> ExportError:
    functions = sorted(name for name in dir(loaded) if _is_function(loaded, name))
    if functions:
        return ExportError(
            f"the SavedModel {path} has no signature",
            received=f"functions without one: {', '.join(functions)}",
            hint=f"in Python: loaded = tf.saved_model.load({str(path)!r}); "
            f"tf2trt.export.export(loaded.{functions[0]}, 'm.onnx', inputs={{name: shape}})",
        )
    return ExportError(
        f"the SavedModel {path} has no signature",
        hint="save it with tf.saved_model.save(module, path, signatures=module.call) or Keras's model.export(path)",
    )


def _is_function(loaded: Any, name: str) -> bool:
    if name.startswith("_") and name != "__call__":
        return False
    return hasattr(getattr(loaded, name, None), "concrete_functions")


def _arguments(function: Any) -> Any:
    structured = getattr(function, "structured_input_signature", None)
    if structured is not None:
        arguments = dict(structured[1])
    else:  # TensorFlow 1's signatures only know keywords and the tensors that they feed
        arguments = dict(zip(function._arg_keywords, function.inputs))
    return [spec_from(name, arguments[name]) for name in sorted(arguments, key=_natural)]


def _caller(tensorflow: Any, path: Path, function: Any, names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    """Calls a signature with tensors in the order of ``names``."""
    if not any(op.type in _OLD_VARIABLES for op in function.graph.get_operations()):
        return lambda tensors: function(**dict(zip(names, tensors)))
    # TensorFlow 1's variables live in the graph of the signature: they cannot be frozen from outside of it.
    constants = require("tensorflow.python.framework.convert_to_constants", "export")
    try:
        frozen = constants.convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:
        raise ExportError(f"TensorFlow cannot freeze the SavedModel {path}", received=brief(error)) from error
    order = [names.index(keyword) for keyword in function._arg_keywords]
    results = sorted(function.structured_outputs)

    def call(tensors: Sequence[Any]) -> Dict[str, Any]:
        return dict(zip(results, frozen(*(tensors[index] for index in order))))

    return call


def _natural(name: str) -> List[Tuple[int, str]]:
    """Sorts ``output_2`` before ``output_10``. A SavedModel keeps names in a map without an order: TensorFlow gives
    them in another one in each process.
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
