"""A :class:`Source` to an ONNX model, through tf2onnx."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.bind import bind_weights
from tf2trt.export.freeze import freeze
from tf2trt.export.inline import inline_compiled
from tf2trt.export.layers import layers_of_scopes, record_layers
from tf2trt.export.operators import HANDLERS
from tf2trt.export.optimize import optimized
from tf2trt.export.origin import Ops, write_origins
from tf2trt.export.source import NamedTensors, Progress, Source, brief
from tf2trt.extras import require
from tf2trt.onnx_files import Weight
from tf2trt.specs import TensorSpec

__all__ = [
    "DEFAULT_OPSET",
    "OLDEST_OPSET",
    "Converted",
    "check_operators",
    "check_opset",
    "io_specs",
    "to_onnx",
    "unique_names",
]

DEFAULT_OPSET = 15  # tf2onnx's own choice, and read by every TensorRT from 8.5 on
OLDEST_OPSET = 13  # before it, axes and scales stand in attributes, which TensorRT's newer parsers do not promise

_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


@dataclass(frozen=True)
class Converted:
    """An ``onnx.ModelProto``, and the large weights that are not in it.

    ``beside``: the weights are to lie in a file of their own, however large they are.
    """

    model: Any
    weights: Tuple[Weight, ...] = ()
    beside: bool = False


def check_opset(opset: int) -> None:
    """Refuses an opset that tf2onnx or TensorRT does not take.

    Raises:
        UsageError: the opset is out of range.
    """
    newest = max(require("tf2onnx.constants", "export").OPSET_TO_IR_VERSION)
    if not OLDEST_OPSET <= opset <= newest:
        raise UsageError("opset", received=opset, expected=f"{OLDEST_OPSET} to {newest}")


def to_onnx(tensorflow: Any, source: Source, specs: Sequence[TensorSpec], opset: int, progress: Progress) -> Converted:
    """Traces ``source`` on ``specs``, freezes its variables and converts the graph.

    The steps are those of ``tf2onnx.convert.from_function``, with three differences: arrays that the function captured
    are frozen like variables (tf2onnx would make them inputs), every input and output gets its own name, and the large
    weights of a large model do not take part.

    Raises:
        ExportError: the model cannot be traced, or holds what tf2onnx cannot express in ONNX.
    """
    onnx = require("onnx", "export")
    if source.convert is not None:
        progress("converting", 0, 1)
        model = source.convert(specs, opset)
        check_operators(onnx, model, opset)
        _validate(onnx, model)
        progress("converting", 1, 1)
        return Converted(model)
    tfonnx = require("tf2onnx.tfonnx", "export")
    progress("tracing", 0, 1)
    with record_layers(tensorflow, source.model) as scopes:
        concrete, names = _trace(tensorflow, source, specs)
    progress("tracing", 1, 1)
    inputs = [tensor.name for tensor in concrete.inputs[: len(specs)]]
    outputs = [tensor.name for tensor in concrete.outputs]
    rename = {**dict(zip(inputs, (spec.name for spec in specs))), **dict(zip(outputs, names))}
    _refuse_python(concrete)
    progress("converting", 0, 1)
    made: Dict[str, str] = {}
    try:
        with tensorflow.device("/cpu:0"):
            frozen, left_out = freeze(tensorflow, concrete, inputs, outputs)
            frozen = inline_compiled(tensorflow, frozen, [*inputs, *left_out], outputs)
            ops = Ops.of(frozen)
            with tensorflow.Graph().as_default() as graph:
                tensorflow.import_graph_def(frozen, name="")

                def convert() -> Any:
                    return tfonnx.process_tf_graph(
                        graph,
                        opset=opset,
                        input_names=[*inputs, *left_out],
                        output_names=outputs,
                        tensors_to_rename=rename,
                        custom_op_handlers=HANDLERS,
                    )

                converted = optimized(convert, made)
                model = converted.make_model(f"tf2trt: {source.name}", graph_name=source.name)
    except Exception as error:
        raise ExportError(
            f"tf2onnx cannot convert {source.name!r}",
            received=brief(error),
            hint="operators that ONNX lacks must be taken out of the model or written with others",
        ) from error
    check_operators(onnx, model, opset)
    behind = dict(zip(names, (output.split(":")[0] for output in outputs)))
    write_origins(model, ops, layers_of_scopes(source.model, ops.types, scopes), behind, made)
    weights = bind_weights(onnx, model, left_out)
    if not weights:
        _validate(onnx, model)
    if source.kind == "keras" or len(model.graph.input) == 1:
        _name_batch(model)
    progress("converting", 1, 1)
    return Converted(model, tuple(weights))


def io_specs(onnx: Any, values: Any) -> Tuple[TensorSpec, ...]:
    """``graph.input`` or ``graph.output`` as our specs."""
    specs = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
        specs.append(TensorSpec(value.name, dtype.name, shape))
    return tuple(specs)


def _trace(tensorflow: Any, source: Source, specs: Sequence[TensorSpec]) -> Tuple[Any, List[str]]:
    names: List[str] = []
    signature = [
        # Own, plain names for the placeholders: TensorFlow would alter a name with a dot or a space in it.
        tensorflow.TensorSpec([None if e < 0 else e for e in spec.shape], spec.dtype, name=f"tf2trt_input_{index}")
        for index, spec in enumerate(specs)
    ]

    def traced(*tensors: Any) -> Any:
        pairs = source.run(tensors)
        names[:] = unique_names(pairs, specs)
        # An identity each: the same tensor returned twice, or an input handed through, is a tensor of its own.
        return [tensorflow.identity(tensor) for _, tensor in pairs]

    try:
        concrete = tensorflow.function(traced, input_signature=signature).get_concrete_function()
    except Exception as error:
        raise ExportError(
            f"TensorFlow cannot trace {source.name!r}",
            received=brief(error),
            expected=f"a model that takes {'; '.join(map(str, specs))}",
        ) from error
    if not names:
        raise ExportError(f"{source.name!r} returns no tensor")
    strings = [name for name, tensor in zip(names, concrete.outputs) if tensor.dtype == tensorflow.string]
    if strings:
        raise ExportError(
            f"{source.name!r} returns strings, which TensorRT does not have",
            received="outputs " + ", ".join(strings),
            hint="export the part of the model that computes numbers, and look the strings up outside",
        )
    return concrete, names


def _refuse_python(concrete: Any) -> None:
    graph = concrete.graph.as_graph_def()
    bodies = [function.node_def for function in graph.library.function]
    nodes = [node for each in [graph.node, *bodies] for node in each]
    found = sorted({f"{node.op} ({node.name})" for node in nodes if node.op in _PYTHON})
    if found:
        raise ExportError(
            "the model calls back into Python: tf.py_function or tf.numpy_function",
            received="; ".join(found[:10]),
            hint="only TensorFlow's own operators can be exported: write that part with them, or leave it out",
        )


def unique_names(pairs: NamedTensors, specs: Sequence[TensorSpec]) -> List[str]:
    """ONNX wants every tensor's name once; Keras and TensorFlow allow an output to be called like an input."""
    used = {spec.name for spec in specs}
    names = []
    for name, _ in pairs:
        candidate, count = name, 0
        while candidate in used:
            count += 1
            candidate = f"{name}_{count}"
        used.add(candidate)
        names.append(candidate)
    return names


def check_operators(onnx: Any, model: Any, opset: int) -> None:
    """tf2onnx leaves some operators as they are; ONNX's own table knows which.

    Raises:
        ExportError: there are such; the message names the first ten.
    """
    unknown = [
        f"{node.op_type} ({node.name})"
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, opset)
    ]
    if unknown:
        raise ExportError(
            "the model holds TensorFlow operators that ONNX lacks",
            received="; ".join(unknown[:10]) + (f"; and {len(unknown) - 10} more" if len(unknown) > 10 else ""),
        )


def _validate(onnx: Any, model: Any) -> None:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError("tf2onnx wrote an invalid ONNX model", received=brief(error)) from error


def _name_batch(model: Any) -> None:
    """``batch`` for the first extent of every input where the inputs share it: a Keras model's, or a single one's."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].HasField("dim_value"):
            dims[0].dim_param = "batch"
