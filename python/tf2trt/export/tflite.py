"""TFLite files, through tf2onnx; TensorFlow's own interpreter is what the result is compared with."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.optimize import optimized
from tf2trt.export.origin import Ops, write_origins
from tf2trt.export.quiet import without_chatter
from tf2trt.export.source import NamedTensors, Source, brief
from tf2trt.extras import require
from tf2trt.specs import TensorSpec

__all__ = ["SUFFIX", "source"]

SUFFIX = ".tflite"
_QUANTISED_SLACK = 0.05  # TFLite rounds in integers and ONNX in floats: a value between two steps may go either way
Detail = Dict[str, Any]


def source(tensorflow: Any, path: Path, signature: Optional[str]) -> Source:
    """A TFLite model. Inputs and outputs have the names of its signature where it has one, else those of its tensors.

    A quantised model becomes a graph with QuantizeLinear and DequantizeLinear around its operators.

    Raises:
        ExportError: the file is no TFLite model.
        UsageError: the model has no such signature, or several and none was asked for.
    """
    interpreter = _open(tensorflow, path)
    chosen = _choose(path, interpreter.get_signature_list(), signature)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    names = _names(interpreter, chosen, inputs, outputs)
    specs = tuple(TensorSpec(names[each["index"]], each["dtype"].__name__, _shape(each)) for each in inputs)
    results = [names[each["index"]] for each in outputs]

    def run(tensors: Sequence[Any]) -> NamedTensors:
        for detail, tensor in zip(inputs, tensors):
            interpreter.resize_tensor_input(detail["index"], list(tensor.shape))
        interpreter.allocate_tensors()
        for detail, tensor in zip(inputs, tensors):
            interpreter.set_tensor(detail["index"], tensor.numpy())
        interpreter.invoke()
        return [(name, interpreter.get_tensor(detail["index"])) for name, detail in zip(results, outputs)]

    rename = {each["name"]: names[each["index"]] for each in [*inputs, *outputs]}
    tensors = interpreter.get_tensor_details()

    def convert(fixed: Sequence[TensorSpec], opset: int) -> Any:
        model = _convert(path, fixed, opset, rename)
        # A TFLite operator has no name but those of its results, which the converter took from TensorFlow's ops.
        behind = {new: old for old, new in rename.items()}
        write_origins(model, Ops({each["name"]: "" for each in tensors}, {}), {}, behind)
        return model

    quantised = any(each["quantization_parameters"]["scales"].size for each in tensors)
    detected = f"TFLite model, {'quantised' if quantised else 'not quantised'}"
    detected += f", signature {chosen}" if chosen else ", without a signature"
    slack = _QUANTISED_SLACK if quantised else 0.0
    return Source("tflite", path.stem, specs, run, detected, convert=convert, slack=slack)


def _open(tensorflow: Any, path: Path) -> Any:
    data = path.read_bytes()
    if data[4:8] != b"TFL3":  # the interpreter reads what comes as it comes
        raise ExportError(
            f"{path} is not a TFLite model",
            received=f"{len(data)} bytes without TFLite's mark" if data else "an empty file",
            expected="a file written by tf.lite.TFLiteConverter",
        )
    try:
        with _quiet():
            # Its reference kernels: others compute the same a little differently, and hold on to memory.
            resolver = tensorflow.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            interpreter = tensorflow.lite.Interpreter(model_path=str(path), experimental_op_resolver_type=resolver)
            interpreter.allocate_tensors()
            return interpreter
    except Exception as error:
        raise ExportError(f"TensorFlow cannot load the TFLite model {path}", received=brief(error)) from error


def _choose(path: Path, signatures: Dict[str, Any], wanted: Optional[str]) -> Optional[str]:
    listed = ", ".join(sorted(signatures)) or "none"
    if wanted is not None and wanted not in signatures:
        raise UsageError(f"the TFLite model {path} has no such signature", received=wanted, expected=listed)
    if len(signatures) > 1:
        # Each is a graph of its own, and tf2onnx converts the first.
        raise UsageError(
            f"the TFLite model {path} has several signatures, which are not told apart here",
            received=listed,
            expected="a model with one signature",
        )
    return next(iter(signatures), None)


def _names(
    interpreter: Any, signature: Optional[str], inputs: Sequence[Detail], outputs: Sequence[Detail]
) -> Dict[int, str]:
    names = {each["index"]: each["name"].split(":")[0] for each in [*inputs, *outputs]}
    if signature is not None:
        runner = interpreter.get_signature_runner(signature)
        for details in (runner.get_input_details(), runner.get_output_details()):
            names.update((detail["index"], name) for name, detail in details.items())
    return names


def _shape(detail: Detail) -> Tuple[int, ...]:
    signature = detail["shape_signature"]
    return tuple(int(extent) for extent in (signature if len(signature) else detail["shape"]))


def _convert(path: Path, specs: Sequence[TensorSpec], opset: int, rename: Dict[str, str]) -> Any:
    tfonnx = require("tf2onnx.tfonnx", "export")

    def convert() -> Any:
        return tfonnx.process_tf_graph(
            None, opset=opset, input_names=None, output_names=None, tflite_path=str(path), tensors_to_rename=rename
        )

    made: Dict[str, str] = {}
    try:
        with _quiet():
            model = optimized(convert, made).make_model(f"tf2trt: {path.stem}", graph_name=path.stem)
    except Exception as error:
        raise ExportError(f"tf2onnx cannot convert {path}", received=brief(error)) from error
    by_name = {spec.name: spec for spec in specs}
    for value in model.graph.input:
        for extent, dim in zip(by_name[value.name].shape, value.type.tensor_type.shape.dim):
            if extent >= 0:
                dim.dim_value = extent
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with without_chatter(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf.lite is to move to a package of its own
        yield
