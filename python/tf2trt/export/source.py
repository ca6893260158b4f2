"""One form for every kind of model: named inputs, and a callable on TensorFlow tensors with named outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.specs import Shape, TensorSpec, format_shape

__all__ = [
    "NamedTensors",
    "Progress",
    "Source",
    "brief",
    "fix_shapes",
    "flatten_outputs",
    "refuse_strings",
    "shape_of",
    "spec_from",
]

NamedTensors = List[Tuple[str, Any]]
Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done of it and what there is to do."""
_NUMBERS = re.compile(r"^(bool|u?int\d+|b?float\d+\w*)$")


@dataclass(frozen=True)
class Source:
    """A model, ready to be traced (with symbolic tensors) or called (with real ones).

    ``run`` takes one tensor for each of ``inputs``, in that order, and returns ``(name, tensor)`` pairs. It holds
    the model, whose variables TensorFlow would free otherwise. ``detected`` says in words what the model is. ``model``
    is the Keras model, whose layers name the nodes, if it is one. ``convert``, where there is one, takes the inputs and
    an opset and returns the ``onnx.ModelProto``: for what TensorFlow can run but not trace. ``slack`` is the relative
    error that is to be expected of a right conversion, where it is more than that of float32.
    """

    kind: str
    name: str
    inputs: Tuple[TensorSpec, ...]
    run: Callable[[Sequence[Any]], NamedTensors]
    detected: str
    model: Any = None
    convert: Optional[Callable[[Sequence[TensorSpec], int], Any]] = None
    slack: float = 0.0


def brief(error: BaseException) -> str:
    """An exception's class and what it says: without terminal colours and without the lines of a traceback that
    TensorFlow puts into the message, in 600 characters at most.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    plain = re.sub(r"(?m)^ *File \".*\n(?: +.*\n)?", "", plain).replace("in user code:", "")
    return f"{type(error).__name__}: {' '.join(plain.split())[:600] or 'no message'}"


def shape_of(shape: Any) -> Optional[Shape]:
    """A TensorFlow shape, a tuple with None or -1, or None, as our ``Shape``; None where the rank is unknown."""
    if shape is None or getattr(shape, "rank", 0) is None:
        return None
    return tuple(-1 if extent is None or int(extent) < 0 else int(extent) for extent in shape)


def spec_from(name: str, given: Any, default_dtype: str = "float32") -> TensorSpec:
    """What a user may write for one input: a shape, or anything with ``shape`` and ``dtype`` (tf.TensorSpec, array).

    Raises:
        UsageError: it is neither, or the rank is unknown.
    """
    dtype = getattr(given, "dtype", default_dtype)
    try:
        shape = shape_of(getattr(given, "shape", given))
    except (TypeError, ValueError):
        shape = None
    if shape is None:
        raise UsageError(
            f"inputs: the shape of {name!r}", received=repr(given), expected="a shape such as (None, 224, 224, 3)"
        )
    return TensorSpec(name, str(getattr(dtype, "name", dtype)), shape)


def fix_shapes(specs: Sequence[TensorSpec], inputs: Optional[Mapping[str, Any]]) -> Tuple[TensorSpec, ...]:
    """``specs`` with the dynamic extents that ``inputs`` gives made static.

    Raises:
        UsageError: an unknown name, another rank or dtype, or an extent that contradicts the model.
    """
    wanted = dict(inputs or {})
    fixed = []
    for spec in specs:
        if spec.name not in wanted:
            fixed.append(spec)
            continue
        new = spec_from(spec.name, wanted.pop(spec.name), spec.dtype)
        agree = len(new.shape) == len(spec.shape) and all(
            asked in (-1, known) or known < 0 for asked, known in zip(new.shape, spec.shape)
        )
        if not agree or new.dtype != spec.dtype:
            raise UsageError("inputs: this does not fit the model", received=new, expected=spec)
        shape = tuple(known if asked < 0 else asked for asked, known in zip(new.shape, spec.shape))
        fixed.append(TensorSpec(spec.name, spec.dtype, shape))
    if wanted:
        raise UsageError(
            "inputs: the model has no input of this name",
            received=", ".join(map(repr, wanted)),
            expected="one of " + "; ".join(f"{spec.name} ({format_shape(spec.shape)})" for spec in specs),
        )
    return tuple(fixed)


def refuse_strings(name: str, specs: Sequence[TensorSpec]) -> None:
    """TensorRT has no strings, and ONNX Runtime's random inputs none that mean anything.

    Raises:
        ExportError: an input is a string, or of another type that holds no numbers; the message names the inputs.
    """
    odd = [spec for spec in specs if not _NUMBERS.match(spec.dtype)]
    if odd:
        raise ExportError(
            f"the model {name!r} takes what is not a number",
            received="; ".join(map(str, odd)),
            expected="inputs of a boolean, integer or floating-point type",
            hint="cut the model behind its text processing, and do that part outside: "
            "export a model or a tf.function that starts at the numbers",
        )


def flatten_outputs(result: Any) -> NamedTensors:
    """The tensors of a result with the names that TensorFlow's own SavedModels give: a dictionary's keys, else
    ``output_0``, ``output_1``. Deeper levels are joined with an underscore; None is left out.
    """
    pairs: NamedTensors = []
    _flatten(result, "", pairs)
    return pairs


def _flatten(value: Any, path: str, pairs: NamedTensors) -> None:
    if value is None:
        return
    if hasattr(value, "_asdict"):  # a namedtuple
        value = value._asdict()
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(item, f"{path}_{key}" if path else str(key), pairs)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _flatten(item, f"{path or 'output'}_{index}", pairs)
    else:
        pairs.append((path or "output_0", value))
