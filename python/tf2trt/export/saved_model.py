"""SavedModel folders: written by TensorFlow, by Keras 2's ``save`` or by Keras 3's ``export``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.source import NamedTensors, Source, brief, spec_from

__all__ = ["is_saved_model", "source"]

_DEFAULT = "serving_default"


def is_saved_model(path: Path) -> bool:
    """Whether ``path`` is a folder with a SavedModel in it."""
    return any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))


def source(tensorflow: Any, path: Path, signature: Optional[str], tags: Optional[Sequence[str]]) -> Source:
    """One signature of a SavedModel: inputs and outputs have the signature's argument and result names, sorted.

    Without ``signature`` it is ``serving_default``, or the only one there is.

    Raises:
        UsageError: the signature is not there, or several are and none was asked for; the message lists them.
        ExportError: TensorFlow cannot load the folder, or it holds no signature.
    """
    try:
        loaded = tensorflow.saved_model.load(str(path), tags=list(tags) if tags else None)
    except Exception as error:
        raise ExportError(
            f"TensorFlow cannot load the SavedModel {path}",
            received=brief(error),
        ) from error
    signatures = {name: fn for name, fn in dict(loaded.signatures).items() if not name.startswith("__")}
    function = signatures[_choose(path, signatures, signature)]
    specs = _arguments(function)

    def run(tensors: Sequence[Any]) -> NamedTensors:
        result = function(**{spec.name: tensor for spec, tensor in zip(specs, tensors)})
        return sorted(result.items(), key=lambda item: _natural(item[0]))

    # `loaded` rides along: a signature alone does not keep the model's variables alive.
    run.model = loaded  # type: ignore[attr-defined]
    return Source("saved_model", path.name, tuple(specs), run)


def _choose(path: Path, signatures: Dict[str, Any], wanted: Optional[str]) -> str:
    listed = ", ".join(sorted(signatures))
    if not signatures:
        raise ExportError(
            f"the SavedModel {path} has no signature",
            hint="save it with tf.saved_model.save(module, path, signatures=module.call) or Keras's model.export(path)",
        )
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


def _arguments(function: Any) -> Any:
    structured = getattr(function, "structured_input_signature", None)
    if structured is not None:
        arguments = dict(structured[1])
    else:  # TensorFlow 1's signatures only know keywords and the tensors that they feed
        arguments = dict(zip(function._arg_keywords, function.inputs))
    return [spec_from(name, arguments[name]) for name in sorted(arguments, key=_natural)]


def _natural(name: str) -> List[Tuple[int, str]]:
    """Sorts ``output_2`` before ``output_10``. A SavedModel keeps names in a map without an order: TensorFlow gives
    them in another one in each process.
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
