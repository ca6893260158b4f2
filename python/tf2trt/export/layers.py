"""Which Keras layer a TensorFlow op belongs to: found by the name scopes that the layers open."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Set

__all__ = ["CALL", "layer_paths", "layers_of_scopes", "record_layers", "scope_layer"]

CALL = re.compile(r"^(Stateful)?PartitionedCall(_\d+)?$")
"""A part of a name that an inlined function left: no scope of the user's."""


def layer_paths(model: Any) -> Dict[int, str]:
    """The path of each layer of a Keras model, ``encoder/dense_1``, by the layer's identity; without the model."""
    paths: Dict[int, str] = {}

    def walk(parent: Any, path: str) -> None:
        for layer in parent._flatten_layers(include_self=False, recursive=False):
            if id(layer) not in paths:
                paths[id(layer)] = f"{path}{layer.name}"
                walk(layer, f"{path}{layer.name}/")

    if hasattr(model, "_flatten_layers"):
        walk(model, "")
        paths.pop(id(model), None)
    return paths


@contextlib.contextmanager
def record_layers(tensorflow: Any, model: Any) -> Iterator[Dict[str, str]]:
    """While the block runs: TensorFlow's name scopes and the layers that opened them, of a Keras model.

    Both Kerases open a scope called like the layer around its call, and TensorFlow puts a number behind a name that it
    had before: ``dense_1`` may be the layer ``dense``, so the names alone do not tell.
    """
    scopes: Dict[str, str] = {}
    paths = layer_paths(model) if model is not None else {}
    wrapped = []
    for layer in _every_layer(model, set()):
        if id(layer) in paths and hasattr(
            layer, "_open_name_scope"
        ):  # Keras 3; Keras 2 opens the same scope again and again
            opened = _recorder(tensorflow, layer._open_name_scope, paths[id(layer)], scopes)
            object.__setattr__(layer, "_open_name_scope", opened)
            wrapped.append(layer)
    try:
        yield scopes
    finally:
        for layer in wrapped:
            object.__delattr__(layer, "_open_name_scope")


def scope_layer(op: str, scopes: Mapping[str, str], root: str = "") -> Optional[str]:
    """The layer of an op: that of the innermost recorded scope around it, or else its scope below ``root``."""
    parts = op.split("/")
    if scopes:
        for end in range(len(parts) - 1, 0, -1):
            layer = scopes.get("/".join(parts[:end]))
            if layer is not None:
                return layer
        return None
    parts = [part for part in parts[:-1] if not CALL.match(part)]
    if root and parts and parts[0] == root:
        parts = parts[1:]
    return "/".join(parts) or None


def layers_of_scopes(model: Any, ops: Iterable[str], scopes: Dict[str, str]) -> Dict[str, str]:
    """The recorded scopes, or those of a Keras 2 model, whose layers' scopes have the layers' own names.

    Args:
        model: the Keras model, or None.
        ops: the names of all ops.
    """
    if scopes or model is None:
        return scopes
    paths = set(layer_paths(model).values())
    found: Dict[str, str] = {}
    for name in ops:
        parts = name.split("/")
        for end in range(1, len(parts)):
            for start in (1, 0):  # without the model's own scope, or with it
                path = "/".join(parts[start:end])
                if path in paths:
                    found.setdefault("/".join(parts[:end]), path)
    return found


def _every_layer(model: Any, seen: Set[int]) -> Iterator[Any]:
    if not hasattr(model, "_flatten_layers"):
        return
    for layer in model._flatten_layers(include_self=False, recursive=False):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            yield from _every_layer(layer, seen)


def _recorder(tensorflow: Any, opened: Any, path: str, scopes: Dict[str, str]) -> Any:
    @contextlib.contextmanager
    def recording() -> Iterator[Any]:
        with opened() as scope:
            name = tensorflow.get_current_name_scope() if hasattr(tensorflow, "get_current_name_scope") else ""
            if name:
                scopes[name] = path
            yield scope

    return recording
