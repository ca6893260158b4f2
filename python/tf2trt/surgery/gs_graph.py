"""Between ONNX and onnx-graphsurgeon, which knows nothing of the folder of weights.

A large weight is a ``gs.Constant`` whose values are read when someone looks at them, and which otherwise goes back into
the model as the reference that it was.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Iterator, Optional, Sequence

import numpy as np

from tf2trt.extras import require
from tf2trt.onnx_skeleton import is_reference
from tf2trt.surgery.weights import array_of, goes_to_folder, loaded, settle, tensor_of

__all__ = ["export_graph", "import_graph", "new_constant", "values_of", "with_values"]

_WITH_VALUES: ContextVar[bool] = ContextVar("with_values", default=False)


def import_graph(model: Any) -> Any:
    """``model`` as a ``gs.Graph``."""
    graph = require("onnx_graphsurgeon", "export").import_onnx(model)
    for part in [graph, *graph.subgraphs(recursive=True)]:
        for tensor in part.tensors().values():
            held: Any = getattr(tensor, "_values", None)
            if type(held) is _lazy_type() and is_reference(held.tensor):
                tensor.values, tensor.data_location = _reference_type()(held.tensor), None
    return graph


def export_graph(graph: Any) -> Any:
    """A ``gs.Graph`` as a model, its large arrays in the folder of weights, where there is one."""
    gs = require("onnx_graphsurgeon", "export")
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Constant) and tensor.export_dtype == tensor.dtype:
            tensor.values = _stored(tensor.name, tensor._values)
    return settle(gs.export_onnx(graph))


def new_constant(name: str, array: Any, shape: Sequence[int]) -> Any:
    """A ``gs.Constant`` of ``array``, which may be a view, in ``shape``; a large one goes to the folder of weights at
    once, where there is one.
    """
    stored = _stored(name, array, shape)
    if stored is array:
        stored = np.array(array, order="C").reshape(shape)
    return require("onnx_graphsurgeon", "export").Constant(name, stored)


def values_of(constant: Any) -> Any:
    """The array of a ``gs.Constant``, which does not keep it, as it would with ``constant.values``."""
    held = constant._values
    return array_of(held.tensor) if isinstance(held, _reference_type()) else constant.values


@contextlib.contextmanager
def with_values() -> Iterator[None]:
    """For the time of the block, what onnx-graphsurgeon exports holds its weights: it evaluates constants so."""
    token = _WITH_VALUES.set(True)
    try:
        yield
    finally:
        _WITH_VALUES.reset(token)


def _stored(name: str, values: Any, shape: Optional[Sequence[int]] = None) -> Any:
    """What a ``gs.Constant`` holds in place of an array that is to go to the folder of weights; else ``values``."""
    if not isinstance(values, np.ndarray) or not goes_to_folder(values):
        return values
    return _reference_type()(tensor_of(values, name, shape))


def _lazy_type() -> Any:
    return require("onnx_graphsurgeon.ir.tensor", "export").LazyValues


@lru_cache(maxsize=None)
def _reference_type() -> Any:
    lazy = _lazy_type()

    class Reference(lazy):  # type: ignore[misc, valid-type]
        """Values that lie in the folder of weights."""

        @property
        def tensor(self) -> Any:
            """The TensorProto that onnx-graphsurgeon exports."""
            return loaded(self._reference) if _WITH_VALUES.get() else self._reference

        @tensor.setter
        def tensor(self, tensor: Any) -> None:
            self._reference = tensor

        def load(self) -> Any:
            """The array."""
            return array_of(self._reference)

    return Reference
