"""The user's own figure: a function named ``module:function``."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

import numpy as np

from tf2trt.errors import UsageError, VerificationError
from tf2trt.verify.metrics import plain

__all__ = ["MetricReport", "TaskMetric", "load_function"]

Function = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


@dataclass(frozen=True)
class MetricReport:
    """The task's figures of both, by name. ``tolerance`` bounds ``|candidate - reference|`` of each; None: nothing."""

    reference: Mapping[str, float]
    candidate: Mapping[str, float]
    tolerance: Optional[float]

    @property
    def passed(self) -> bool:
        """Whether every figure is within the tolerance; a NaN never is."""
        if self.tolerance is None:
            return True
        return all(abs(self.candidate[name] - value) <= self.tolerance for name, value in self.reference.items())

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "reference": {name: plain(value) for name, value in self.reference.items()},
            "candidate": {name: plain(value) for name, value in self.candidate.items()},
            "tolerance": self.tolerance,
            "passed": self.passed,
        }


def load_function(text: str) -> Function:
    """``module:function``; the module may also be a file, ``metrics.py:accuracy``. This folder is looked in first.

    Raises:
        UsageError: the text is not of that form, or there is no such function.
    """
    module, _, name = text.rpartition(":")
    if not module or not name:
        raise UsageError("the metric", received=repr(text), expected="module:function, such as metrics:accuracy")
    try:
        loaded = _file(Path(module)) if module.endswith(".py") else _module(module)
        function = getattr(loaded, name)
    except (ImportError, AttributeError, OSError) as error:
        raise UsageError(
            f"the metric {text} cannot be imported",
            received=str(error),
            expected="a function(outputs, data) that returns a number or a dictionary of numbers",
        ) from error
    if not callable(function):
        raise UsageError(f"the metric {text}", received=type(function).__name__, expected="a function")
    return function  # type: ignore[no-any-return]


def _module(name: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(Path.cwd()))


def _file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no Python file at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TaskMetric:
    """Gathers all outputs and inputs, and asks the function at the end: most figures are no mean over batches.

    The function gets two dictionaries of arrays, all batches joined along the first axis: the outputs by name, and the
    inputs with what else was in their files. It returns a number, or a dictionary of numbers.
    """

    def __init__(self, function: Function, tolerance: Optional[float] = None) -> None:
        self._function, self._tolerance = function, tolerance
        self._data: Dict[str, List[Any]] = {}
        self._outputs: Dict[str, Dict[str, List[Any]]] = {"reference": {}, "candidate": {}}

    def add(self, data: Mapping[str, Any], reference: Mapping[str, Any], candidate: Mapping[str, Any]) -> None:
        """One batch."""
        places = (self._data, data), (self._outputs["reference"], reference), (self._outputs["candidate"], candidate)
        for place, arrays in places:
            for name, array in arrays.items():
                place.setdefault(name, []).append(np.asarray(array))

    def result(self) -> MetricReport:
        """Calls the function for each of the two.

        Raises:
            VerificationError: it raised, or returned no number.
        """
        data = {name: _join(parts) for name, parts in self._data.items()}
        figures = {}
        for which, outputs in self._outputs.items():
            try:
                value = self._function({name: _join(parts) for name, parts in outputs.items()}, data)
                named = value if isinstance(value, Mapping) else {"metric": value}
                figures[which] = {str(name): float(figure) for name, figure in named.items()}
            except Exception as error:  # the user's own code
                raise VerificationError(
                    f"the metric failed on the {which}'s outputs", received=f"{type(error).__name__}: {error}"
                ) from error
        for name in figures["reference"]:
            figures["candidate"].setdefault(name, math.nan)
        return MetricReport(figures["reference"], figures["candidate"], self._tolerance)


def _join(parts: List[Any]) -> Any:
    return np.concatenate(parts) if parts[0].ndim else np.stack(parts)
