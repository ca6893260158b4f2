"""Runs the table of passes over a file."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, List, Tuple, Union

from tf2trt.errors import SurgeryError, Tf2TrtError
from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.surgery.files import check_model, read_model, write_model
from tf2trt.surgery.passes import PASSES, Pass
from tf2trt.surgery.report import PassReport, SurgeryReport

__all__ = ["run_pass", "simplify"]

PathLike = Union[str, "os.PathLike[str]"]


def simplify(source: PathLike, output: PathLike) -> SurgeryReport:
    """Folds constants and removes nodes without effect; the model computes the same, under the same names.

    Args:
        source: an ONNX file, its weights inside or beside it.
        output: the ONNX file to write, whole or not at all; may be ``source``. Models over 1.8 GB keep their weights
            in ``OUTPUT.data``.

    Raises:
        OnnxError: ``source`` cannot be read.
        OutputError: ``output`` cannot be written; found before any work is done.
        SurgeryError: a pass failed; the message names it.
        MissingExtraError: onnx, onnx-graphsurgeon (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    check_writable(Path(output))
    require("onnx_graphsurgeon", "export")
    model = read_model(source)
    before = len(model.graph.node)
    reports: List[PassReport] = []
    for name, rewrite in PASSES:
        model, report = run_pass(name, rewrite, model)
        reports.append(report)
    write_model(model, output)
    return SurgeryReport(tuple(reports), before, len(model.graph.node))


def run_pass(name: str, rewrite: Pass, model: Any) -> Tuple[Any, PassReport]:
    """Runs one pass and checks what it made: a valid model with the inputs and outputs, and the versions, it had.

    Returns:
        the new model and a :class:`PassReport`.

    Raises:
        SurgeryError: the pass failed, or its result is not valid; the message names the pass.
    """
    started = time.perf_counter()
    old_nodes = Counter((node.op_type, node.name) for node in model.graph.node)
    old_io = _io(model)
    ir_version = model.ir_version
    try:
        with _silent_graphsurgeon():
            model = rewrite(model)
        model.ir_version = ir_version  # a newer one would shut out older ONNX Runtimes for nothing
        check_model(model)
    except Tf2TrtError:
        raise
    except Exception as error:
        raise SurgeryError(
            f"the pass {name!r} failed", received=f"{type(error).__name__}: {str(error).strip()[:1000]}"
        ) from error
    if _io(model) != old_io:
        raise SurgeryError(
            f"the pass {name!r} changed the model's inputs or outputs", received=_io(model), expected=old_io
        )
    new_nodes = Counter((node.op_type, node.name) for node in model.graph.node)
    changed = sum(((old_nodes - new_nodes) + (new_nodes - old_nodes)).values())
    return model, PassReport(name, changed, time.perf_counter() - started)


@contextlib.contextmanager
def _silent_graphsurgeon() -> Iterator[None]:
    """onnx-graphsurgeon prints to standard output, where ``--json`` has one object and nothing else; it raises too."""
    logger = require("onnx_graphsurgeon.logger", "export").G_LOGGER
    before = logger.severity
    logger.severity = logger.CRITICAL + 1
    try:
        yield
    finally:
        logger.severity = before


def _io(model: Any) -> Any:
    return [(value.name, value.type.tensor_type.elem_type) for value in [*model.graph.input, *model.graph.output]]
