"""A traced function to a frozen GraphDef, with its large weights left out.

A weight in the graph is copied by every step from TensorFlow to ONNX, and a GraphDef holds 2 GiB at most. So the large
ones become inputs of the graph, and get their values when the ONNX file is written.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from tf2trt.extras import require

__all__ = ["freeze"]

_FROM = 64 << 20  # bytes of variables from which it is worth it; below, tf2onnx sees every weight as it always does
_LARGE = 1 << 20  # bytes of a variable that is left out then

# What tf2onnx converts as well for a tensor as for a constant. Whatever reads something else stays a constant.
_READERS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "GatherV2", "Einsum")
_LARGE_KERNEL = 16 << 20  # bytes of a convolution's kernel; a smaller one may be multiplied by the batch-norm behind it
_READS = ("ReadVariableOp", "ResourceGather")


def freeze(tensorflow: Any, concrete: Any, inputs: List[str], outputs: List[str]) -> Tuple[Any, Dict[str, Any]]:
    """Freezes ``concrete``, a ConcreteFunction.

    Returns:
        the GraphDef, and the variables left out of it by the names of the tensors that stand for them (placeholders
        of the variable's type and shape).
    """
    tf_loader = require("tf2onnx.tf_loader", "export")
    constants = require("tensorflow.python.framework.convert_to_constants", "export")
    variables = _variables(concrete)
    large = {name: variable for name, variable in variables.items() if _bytes(variable) >= _LARGE}
    if not large or sum(map(_bytes, variables.values())) < _FROM or not _can_leave_out(constants):
        return tf_loader.from_function(concrete, inputs, outputs), {}
    # Everything but the small variables; then those of the large ones that nothing in the inlined graph needs.
    kept: Set[str] = set()
    while True:
        left_out = {name: variable for name, variable in large.items() if name not in kept}
        graph_def = _inline(constants, concrete, sorted(left_out))
        refused = _needed(graph_def, left_out)
        if not refused:
            break
        kept |= refused
    if not left_out:
        return tf_loader.from_function(concrete, inputs, outputs), {}
    graph_def = tf_loader.fix_freezing_errors_part2(graph_def)
    stands_for = {f"{name}:0": variable for name, variable in left_out.items()}
    with tensorflow.Graph().as_default():
        tensorflow.import_graph_def(graph_def, name="")
        graph_def = tf_loader.tf_optimize([*inputs, *stands_for], outputs, graph_def)
    # Only now: TensorFlow's optimiser makes a tensor of each placeholder's size, and one for a handle is small.
    _to_placeholders(tensorflow, graph_def, left_out)
    return graph_def, stands_for


def _variables(concrete: Any) -> Dict[str, Any]:
    """The captured variables by the names of the placeholders that stand for them."""
    by_handle = {id(variable.handle): variable for variable in concrete.graph.variables}
    return {
        internal.op.name: by_handle[id(external)]
        for external, internal in concrete.graph.captures
        if id(external) in by_handle
    }


def _bytes(variable: Any) -> int:
    return int(variable.shape.num_elements() or 0) * int(variable.dtype.size)


def _can_leave_out(constants: Any) -> bool:
    """TensorFlow's own classes, which are not part of its interface: elsewhere the weights take their usual way."""
    names = ("_FunctionConverterDataInEager", "_replace_variables_by_constants")
    return all(hasattr(constants, name) for name in names)


def _inline(constants: Any, concrete: Any, left_out: Sequence[str]) -> Any:
    data = constants._FunctionConverterDataInEager(
        func=concrete, lower_control_flow=False, aggressive_inlining=True, variable_names_denylist=list(left_out)
    )
    return constants._replace_variables_by_constants(converter_data=data)[0]


def _needed(graph_def: Any, left_out: Mapping[str, Any]) -> Set[str]:
    """The placeholders of ``left_out`` that must become constants: something reads them, or the variable behind them,
    that is not known to take a tensor as well. A function's body, a loop's for instance, counts as such.
    """
    readers: Dict[str, List[Any]] = {}
    for node in graph_def.node:
        for source in node.input:
            if not source.startswith("^"):
                readers.setdefault(source.split(":")[0], []).append(node)

    def is_fine(node: Any, size: int) -> bool:
        if node.op in ("Identity", "ReadVariableOp", "Cast"):
            return all(is_fine(reader, size) for reader in readers.get(node.name, ()))
        if node.op == "Conv2D":
            return size >= _LARGE_KERNEL
        return node.op in _READERS or (node.op == "ResourceGather" and node.attr["batch_dims"].i == 0)

    return {
        name
        for name, variable in left_out.items()
        if not all(is_fine(reader, _bytes(variable)) for reader in readers.get(name, ()))
    }


def _to_placeholders(tensorflow: Any, graph_def: Any, left_out: Dict[str, Any]) -> None:
    """Gives the placeholders the variables' type instead of a handle's, and their readers what reads a tensor."""
    axes = []
    for node in graph_def.node:
        if node.op == "Placeholder" and node.name in left_out:
            variable = left_out[node.name]
            node.attr.clear()
            node.attr["dtype"].type = variable.dtype.as_datatype_enum
            node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
        elif node.op in _READS and node.input[0].split(":")[0] in left_out:
            dtype = node.attr["dtype"].type
            indices = node.attr["Tindices"].type
            is_gather = node.op == "ResourceGather"
            node.attr.clear()
            if is_gather:
                node.op = "GatherV2"
                axis = f"{node.name}/tf2trt_axis"
                axes.append(axis)
                node.input.insert(2, axis)
                node.attr["Tparams"].type, node.attr["Tindices"].type = dtype, indices
                node.attr["Taxis"].type = tensorflow.int32.as_datatype_enum
            else:
                node.op = "Identity"
                node.attr["T"].type = dtype
        elif node.op == "Identity" and node.input[0].split(":")[0] in left_out:
            node.attr.clear()
            node.attr["T"].type = left_out[node.input[0].split(":")[0]].dtype.as_datatype_enum
    for axis in axes:
        constant = graph_def.node.add(name=axis, op="Const")
        constant.attr["dtype"].type = tensorflow.int32.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tensorflow.make_tensor_proto(0, tensorflow.int32))
