"""A cut model as it runs natively, with a look at what its segments read and give."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator, Sequence

from tf2trt.errors import ExportError
from tf2trt.export.source import brief
from tf2trt.extras import require
from tf2trt.hybrid.assemble import with_probes
from tf2trt.hybrid.cut import Cut, CutBody
from tf2trt.hybrid.frozen import Frozen

__all__ = ["Look", "ProbedModel"]

Look = Callable[[Cut, Sequence[Any]], None]
"""Gets a segment and the arrays of one call of it: what it reads, then what it gives. They are its own only until it
returns."""


class ProbedModel:
    """``look`` is called for each call of each segment of ``cut_body``. FP32 is without TF32, which GPUs have on: what
    is seen is what others are compared with.

    Raises:
        ExportError: TensorFlow does not take the graph.
    """

    def __init__(self, frozen: Frozen, cut_body: CutBody, look: Look) -> None:
        self._tensorflow = tensorflow = require("tensorflow", "export")
        self._frozen = frozen
        self._owner = owner = tensorflow.Graph()  # holds the Python functions that the probes call

        def make_probe(segment: Cut, dtypes: Sequence[Any]) -> Any:
            with owner.as_default():
                placeholders = [tensorflow.compat.v1.placeholder(dtype) for dtype in dtypes]
                made = tensorflow.numpy_function(lambda *arrays: look(segment, arrays), placeholders, [])
            node = type(cut_body.body.graph_def.node[0])()
            node.CopyFrom(made.node_def)
            del node.input[:]
            return node

        plan = with_probes(cut_body, make_probe)
        wrap = require("tensorflow.python.eager.wrap_function", "export").function_from_graph_def
        inputs = [*plan.inputs, *(f"{name}:0" for name in frozen.captures)]
        try:
            self._run = wrap(plan.graph_def, inputs, list(plan.outputs))
        except Exception as error:
            raise ExportError("TensorFlow cannot run the cut graph", received=brief(error)) from error

    def run(self, arrays: Sequence[Any], source: str) -> None:
        """Runs the model on the arrays of one batch, in the order of its inputs; ``source`` says whose batch it is.

        Raises:
            ExportError: TensorFlow cannot run it.
        """
        tensors = [self._tensorflow.constant(array, spec.dtype) for spec, array in zip(self._frozen.inputs, arrays)]
        try:
            with _without_tf32(self._tensorflow):
                self._run(*tensors, *self._frozen.captures.values())
        except Exception as error:
            raise ExportError(
                f"TensorFlow cannot run the model on a batch of {source}", received=brief(error)
            ) from error


@contextlib.contextmanager
def _without_tf32(tensorflow: Any) -> Iterator[None]:
    switches = tensorflow.config.experimental
    before = switches.tensor_float_32_execution_enabled()
    switches.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        switches.enable_tensor_float_32_execution(before)
