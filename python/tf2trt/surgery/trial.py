"""Runs a model in ONNX Runtime on random inputs, for rewrites that may change what it computes."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from tf2trt.errors import OutputError, UsageError
from tf2trt.extras import require
from tf2trt.numerics import random_inputs
from tf2trt.specs import TensorSpec
from tf2trt.surgery.bindings import dtype_name, graph_inputs, shape_of
from tf2trt.surgery.whole_graph import difference, session

__all__ = ["CannotRunError", "Results", "random_feed", "run"]


class CannotRunError(Exception):
    """Why ONNX Runtime cannot run a model. ``invalid`` where it says that the model itself is wrong."""

    def __init__(self, why: str, *, invalid: bool = False) -> None:
        super().__init__(why)
        self.invalid = invalid


def random_feed(model: Any, batch: int = 2) -> Dict[str, Any]:
    """Fresh random arrays for every input by name; :func:`tf2trt.numerics.random_inputs` says how open extents go.

    Raises:
        CannotRunError: an input is not a tensor of numbers, or not even its rank is known.
    """
    specs: List[TensorSpec] = []
    for value in graph_inputs(model):
        shape = shape_of(value)
        if shape is None:
            raise CannotRunError(f"the rank of the input {value.name!r} is not known")
        specs.append(TensorSpec(value.name, dtype_name(value.type.tensor_type.elem_type), shape))
    try:
        return random_inputs(specs, batch)
    except UsageError as error:
        raise CannotRunError(str(error).split("\n", maxsplit=1)[0]) from error


def run(model: Any, feed: Dict[str, Any]) -> Dict[str, Any]:
    """The model's outputs by name, computed on the CPU as the graph says, node by node.

    Raises:
        CannotRunError: it cannot be run there, for an operator that ONNX Runtime lacks, for instance.
        MissingExtraError: ONNX Runtime is not installed.
    """
    runtime = require("onnxruntime", "verify")
    foreign = _foreign(model)
    if foreign is not None:
        raise CannotRunError(f"ONNX Runtime has no operator {foreign}")
    try:
        loaded = session(model)
    except OutputError:
        raise
    except Exception as error:
        raise CannotRunError(_first_line(error), invalid="NOT_IMPLEMENTED" not in str(error)) from error
    names = [value.name for value in loaded.get_outputs()]
    quiet = runtime.RunOptions()
    quiet.log_severity_level = 4  # what goes wrong comes back as an exception too
    try:
        return dict(zip(names, loaded.run(names, feed, quiet)))
    except Exception as error:
        raise CannotRunError(_first_line(error)) from error


class Results:
    """A model's outputs on random inputs, to be compared with another's.

    Raises:
        CannotRunError: it cannot be run.
    """

    def __init__(self, model: Any) -> None:
        self._feed = random_feed(model)
        try:
            self._outputs = run(model, self._feed)
        except CannotRunError as error:
            raise CannotRunError(str(error)) from error  # however it was, no rewrite made it so

    def difference(self, model: Any) -> float:
        """The largest relative error of an output of ``model``; ``inf`` where types or shapes differ.

        Raises:
            CannotRunError: ``model`` cannot be run.
        """
        got = run(model, self._feed)
        return max((difference(got[name], wanted) for name, wanted in self._outputs.items()), default=0.0)


def _foreign(model: Any) -> Optional[str]:
    """The first operator that is neither ONNX's nor ONNX Runtime's nor a function of the model."""
    functions = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        known = not node.domain or node.domain.startswith(("ai.onnx", "com.microsoft"))
        if not known and (node.domain, node.op_type) not in functions:
            return f"{node.op_type} of domain {node.domain!r}"
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:300]
