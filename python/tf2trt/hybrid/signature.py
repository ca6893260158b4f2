"""The signature of a SavedModel that is to be converted: found, named, and its inputs in TensorFlow's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple

from tf2trt.errors import UsageError
from tf2trt.export import saved_model
from tf2trt.hybrid.options import HybridOptions
from tf2trt.specs import TensorSpec

__all__ = ["find_signature"]

_DEFAULT = "serving_default"


def find_signature(tensorflow: Any, path: Path, options: HybridOptions) -> Tuple[str, List[TensorSpec]]:
    """The name of the signature that ``options`` ask for, and its inputs in the order in which TensorFlow takes them
    without names.

    Raises:
        UsageError: no SavedModel is there, or it has no such signature or tags.
        ExportError: TensorFlow cannot load it, or it has no signature at all.
    """
    if not saved_model.is_saved_model(path):
        raise UsageError(f"there is no SavedModel at {path}", expected="a folder with saved_model.pb in it")
    source = saved_model.source(tensorflow, path, options.signature, options.tags)
    loaded = source.run.model  # type: ignore[attr-defined]
    names = [name for name in dict(loaded.signatures) if not name.startswith("__")]
    name = options.signature or (_DEFAULT if _DEFAULT in names else names[0])
    by_name = {spec.name: spec for spec in source.inputs}
    return name, [by_name[keyword] for keyword in loaded.signatures[name]._arg_keywords]
