"""Inlines what TensorFlow leaves as calls: functions that it was to compile as a whole."""

from __future__ import annotations

from typing import Any, List

from tf2trt.extras import require

__all__ = ["inline_compiled"]

# A function made with jit_compile=True, such as Keras 3's grouped convolution, has both. They say how it is run, and
# nothing of what it computes.
_MARKS = ("_XlaMustCompile", "_noinline")


def inline_compiled(tensorflow: Any, graph_def: Any, inputs: List[str], outputs: List[str]) -> Any:
    """``graph_def`` (a frozen GraphDef) with the bodies of such functions in the place of the calls.

    tf2onnx has no operator for a call. ``inputs`` and ``outputs`` are the names of the graph's tensors.
    """
    calls = [node for node in graph_def.node if node.op.endswith("PartitionedCall")]
    marked = [item for item in [*calls, *graph_def.library.function] if any(mark in item.attr for mark in _MARKS)]
    if not calls or not marked:
        return graph_def
    for item in marked:
        for mark in _MARKS:
            item.attr.pop(mark, None)
    with tensorflow.Graph().as_default():
        tensorflow.import_graph_def(graph_def, name="")
        return require("tf2onnx.tf_loader", "export").tf_optimize(inputs, outputs, graph_def)
