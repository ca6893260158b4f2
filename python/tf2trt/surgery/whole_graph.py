"""Runs a model before and after a rewrite in ONNX Runtime, on the CPU, and compares the results."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import OutputError, SurgeryError, UsageError
from tf2trt.extras import require
from tf2trt.numerics import random_inputs, relative_error
from tf2trt.onnx_skeleton import references
from tf2trt.specs import TensorSpec
from tf2trt.surgery.weights import current_folder

__all__ = ["WholeGraph", "difference", "session"]

_BATCH = 2
_NOISY = 1e-3  # of an output, where its inputs differ by what one replacement may change
_MARGIN = 10  # each layer rounds, and the inputs were blurred but once

Runs = List[Tuple[Dict[str, Any], Sequence[Any]]]


class WholeGraph:
    """The results of a model before a rewrite, kept for comparison with those after it.

    ``allowed`` is what one replacement may change. ``reason`` says why there is nothing to compare with: an operator
    that ONNX Runtime lacks, an input whose random values the model does not take.
    """

    def __init__(self, model: Any, allowed: float) -> None:
        self.reason: Optional[str] = None
        self._allowed = allowed
        self._runs: Runs = []
        try:
            feed = _feed(model)
            run = session(model).run
            self._runs = _with_blur(run, feed, allowed)
            if not all(isinstance(result, np.ndarray) for result in self._runs[0][1]):
                self.reason = "an output is not a tensor"
            elif _noise(self._runs) > _NOISY:
                # A network for pixels of 0 to 255 may make nothing but rounding of numbers around 0.
                pixels = {name: _as_pixels(array) for name, array in feed.items()}
                self._runs = min(self._runs, _with_blur(run, pixels, allowed), key=_noise)
        except OutputError:
            raise
        except UsageError as error:
            self.reason = str(error).split("\n", maxsplit=1)[0]
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's classes are many; the report says what it was
            self.reason = f"ONNX Runtime cannot run it on random inputs: {str(error).strip()[:200]}"

    def compare(self, model: Any) -> Optional[float]:
        """The largest relative error of any output of ``model``; None where there is nothing to compare with.

        Raises:
            SurgeryError: an output differs by more than rounding explains, or ONNX Runtime cannot run ``model``.
        """
        if self.reason is not None:
            return None
        try:
            results = session(model).run(None, self._runs[0][0])
        except OutputError:
            raise
        except Exception as error:
            raise SurgeryError(
                "ONNX Runtime cannot run the rewritten model", received=str(error).strip()[:500]
            ) from error
        worst = 0.0
        for value, got, wanted, blurred in zip(model.graph.output, results, self._runs[0][1], self._runs[1][1]):
            error_found = difference(got, wanted)
            noise = difference(blurred, wanted)
            allowed = max(self._allowed, _MARGIN * noise if np.isfinite(noise) else 0.0)
            if not error_found <= allowed:
                raise SurgeryError(
                    f"the rewritten model's output {value.name!r} differs from the original's",
                    received=f"relative error {error_found:.3g}",
                    expected=f"at most {allowed:.3g}",
                )
            worst = max(worst, error_found)
        return worst


def _feed(model: Any) -> Dict[str, Any]:
    helper = require("onnx.helper", "export")
    constant = {item.name for item in model.graph.initializer}
    specs = []
    for value in model.graph.input:
        if value.name in constant:
            continue
        tensor = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "unknown"
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
        specs.append(TensorSpec(value.name, dtype, shape))
    return random_inputs(specs, _BATCH)


def _with_blur(run: Any, feed: Dict[str, Any], allowed: float) -> Runs:
    """Two runs: with ``feed``, and with the same less exact by ``allowed``, which shows what rounding alone may do."""
    blurred = {name: _blur(array, allowed) for name, array in feed.items()}
    return [(item, run(None, item)) for item in (feed, blurred)]


def _noise(runs: Runs) -> float:
    found = [difference(blurred, result) for result, blurred in zip(runs[0][1], runs[1][1])]
    return max((value for value in found if np.isfinite(value)), default=0.0)


def _as_pixels(array: Any) -> Any:
    return (127 + 60 * array).clip(0, 255).astype(array.dtype) if array.dtype.kind == "f" else array


def _blur(array: Any, relative: float) -> Any:
    if array.dtype.kind != "f":
        return array
    noise = np.random.default_rng().standard_normal(array.shape)
    return (array * (1 + relative * noise)).astype(array.dtype)


def session(model: Any) -> Any:
    """An ``onnxruntime.InferenceSession`` that computes node by node, as the graph says.

    Large weights are mapped from the folder of weights, and ONNX Runtime is kept from copying them.

    Raises:
        OutputError: that folder takes no file.
    """
    runtime = require("onnxruntime", "verify")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # an error is raised; it need not be printed as well
    # Nothing that ONNX Runtime would recognise and compute in a way of its own.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    folder = current_folder()
    if folder is None or not references(model):
        return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_cpu_mem_arena = False
    path = folder / "session.onnx"
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:
        raise OutputError(
            f"cannot write {path}",
            received=error.strerror or str(error),
            hint="choose an output on a disk that has space for the weights three times",
        ) from error
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The name of a file that is gone by then says nothing to anybody.
        raise type(error)(str(error).replace(f"Load model from {path} failed:", "")) from error


def difference(got: Any, wanted: Any, mask: Any = True) -> float:
    """:func:`relative_error` where neither is NaN; ``inf`` where only one is NaN, or type or shape differ."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return float("inf")
    if wanted.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(got, wanted) else float("inf")
    if wanted.dtype.kind != "f":
        return relative_error(got, wanted)
    if not np.array_equal(np.isnan(got[mask]), np.isnan(wanted[mask])):
        return float("inf")
    numbers = mask & ~np.isnan(wanted)
    return relative_error(got[numbers], wanted[numbers])
