"""Tensors from inside a graph given out as outputs."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Set

from tf2trt.extras import require

__all__ = ["fp32_ranks", "made_tensors", "marked"]


def made_tensors(model: Any) -> Set[str]:
    """The names of what the nodes of the main graph make."""
    return {name for node in model.graph.node for name in node.output if name}


def marked(model: Any, tensors: Iterable[str]) -> Any:
    """A copy of ``model`` with these FP32 tensors as outputs as well; one that is an output is so once."""
    onnx = require("onnx", "export")
    wanted = list(tensors)
    ranks = fp32_ranks(model) if wanted else {}
    copy = type(model)()
    copy.CopyFrom(model)
    there = {value.name for value in copy.graph.output}
    for name in wanted:
        if name not in there:
            there.add(name)
            shape = [None] * ranks[name]
            copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    return copy


def fp32_ranks(model: Any) -> Dict[str, int]:
    """The rank of each FP32 tensor that a node makes, as far as it is known: without it none can be an output."""
    from tf2trt.surgery.shapes import infer_shapes

    single = require("onnx", "export").TensorProto.FLOAT
    inferred = infer_shapes(model).graph
    types = {value.name: value.type.tensor_type for value in [*inferred.value_info, *inferred.output]}
    return {
        name: len(kind.shape.dim) for name, kind in types.items() if kind.elem_type == single and kind.HasField("shape")
    }
