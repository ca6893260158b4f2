"""``tf.function`` objects, methods of a ``tf.Module`` included."""

from __future__ import annotations

import inspect
from typing import Any, List, Mapping, Optional, Sequence

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.source import NamedTensors, Source, brief, flatten_outputs, spec_from

__all__ = ["is_function", "source"]


def is_function(model: Any) -> bool:
    """Whether ``model`` was made by ``tf.function``."""
    return callable(model) and hasattr(model, "get_concrete_function") and hasattr(model, "python_function")


def source(tensorflow: Any, function: Any, inputs: Optional[Mapping[str, Any]]) -> Source:
    """A ``tf.function``: inputs are named after the TensorSpecs of its ``input_signature`` (by default the parameters'
    names), outputs after the keys of the dictionary that it returns, or ``output_0``, ``output_1``.

    Without an ``input_signature``, ``inputs`` gives one shape or ``tf.TensorSpec`` for each tensor parameter, by name.

    Raises:
        UsageError: there is neither an ``input_signature`` nor ``inputs``, or a name is no parameter.
        ExportError: TensorFlow cannot trace the function.
    """
    name = getattr(function.python_function, "__name__", "function")
    if function.input_signature is None:
        specs = _specs_by_parameter(tensorflow, function, name, inputs)
    else:
        specs = {}
    try:
        args, kwargs = function.get_concrete_function(**specs).structured_input_signature
    except Exception as error:
        raise ExportError(
            f"TensorFlow cannot trace the function {name!r}",
            received=brief(error),
        ) from error
    leaves = [leaf for leaf in tensorflow.nest.flatten((args, kwargs)) if isinstance(leaf, tensorflow.TensorSpec)]
    named = [spec_from(leaf.name or f"input_{index}", leaf) for index, leaf in enumerate(leaves)]

    def run(tensors: Sequence[Any]) -> NamedTensors:
        # Arguments that are not tensors (a flag, a number) keep the value with which the function was traced.
        feed = iter(tensors)
        new_args, new_kwargs = tensorflow.nest.map_structure(
            lambda leaf: next(feed) if isinstance(leaf, tensorflow.TensorSpec) else leaf, (args, kwargs)
        )
        return flatten_outputs(function(*new_args, **new_kwargs))

    return Source("function", name, tuple(named), run, f"tf.function {name!r}")


def _specs_by_parameter(tensorflow: Any, function: Any, name: str, inputs: Optional[Mapping[str, Any]]) -> Any:
    parameters: List[str] = list(inspect.signature(function.python_function).parameters)
    if not inputs:
        raise UsageError(
            f"the function {name!r} does not say what its inputs are",
            received="a tf.function without input_signature",
            expected="inputs={name: shape or tf.TensorSpec} for the parameters " + ", ".join(parameters),
        )
    unknown = [key for key in inputs if key not in parameters]
    if unknown:
        raise UsageError(
            f"inputs: the function {name!r} has no such parameter",
            received=", ".join(unknown),
            expected=", ".join(parameters),
        )
    specs = [spec_from(key, given) for key, given in inputs.items()]
    return {
        spec.name: tensorflow.TensorSpec([None if e < 0 else e for e in spec.shape], spec.dtype, spec.name)
        for spec in specs
    }
