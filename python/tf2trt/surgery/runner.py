"""Runs the table of passes over a file."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple, Union

from tf2trt.errors import SurgeryError, Tf2TrtError, UsageError
from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.surgery.files import check_model, read_model, write_model
from tf2trt.surgery.origin import carry_origins, find_origins
from tf2trt.surgery.passes import PASSES, PLUGINS, Pass
from tf2trt.surgery.plugins.functions import DOMAIN
from tf2trt.surgery.plugins.lower import lower_model
from tf2trt.surgery.report import PassReport, SurgeryReport

__all__ = ["check_plugin_names", "lower_plugins", "run_pass", "simplify"]

PathLike = Union[str, "os.PathLike[str]"]


def simplify(source: PathLike, output: PathLike, *, plugins: Sequence[str] = ()) -> SurgeryReport:
    """Folds constants and removes nodes without effect; the model computes the same, under the same names.

    Args:
        source: an ONNX file, its weights inside or beside it.
        output: the ONNX file to write, whole or not at all; may be ``source``. Models over 1.8 GB keep their weights
            in ``OUTPUT.data``.
        plugins: what is to become a plugin of ours: ``"l2_normalize"``, ``"leaky_relu"``. Each pattern found becomes
            one node of domain ``tf2trt``, after its result and the whole model's were compared in ONNX Runtime; an
            ONNX function in the file says what the node computes, so the file runs there as before. By default
            nothing, and :func:`lower_plugins` is the way back.

    Returns:
        a report of each pass; its ``notes`` say how many patterns became plugins, and which did not and why.

    Raises:
        UsageError: ``plugins`` names what is not there.
        OnnxError: ``source`` cannot be read.
        OutputError: ``output`` cannot be written; found before any work is done.
        SurgeryError: a pass failed, or a plugin computes something else; the message names the pass or the node.
        MissingExtraError: onnx, onnx-graphsurgeon (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    check_plugin_names(plugins)
    check_writable(Path(output))
    require("onnx_graphsurgeon", "export")
    model = read_model(source)
    before = len(model.graph.node)
    reports: List[PassReport] = []
    for name, rewrite in PASSES:
        model, report = run_pass(name, rewrite, model)
        reports.append(report)
    for name, rewrite in PLUGINS:
        if name in plugins:
            model, report = run_pass(name, rewrite, model)
            reports.append(report)
    write_model(model, output)
    return SurgeryReport(tuple(reports), before, len(model.graph.node))


def check_plugin_names(plugins: Sequence[str]) -> None:
    """For callers with long work before :func:`simplify`.

    Raises:
        UsageError: ``plugins`` names what is not there.
    """
    known = [name for name, _ in PLUGINS]
    unknown = [name for name in plugins if name not in known]
    if isinstance(plugins, str) or unknown:
        raise UsageError("plugins", received=unknown or repr(plugins), expected=f"any of {', '.join(known)}")


def lower_plugins(source: PathLike, output: PathLike) -> SurgeryReport:
    """Replaces every node of domain ``tf2trt`` by standard operators that compute the same: the opposite of plugins.

    Args:
        source: an ONNX file, its weights inside or beside it.
        output: the ONNX file to write, whole or not at all; may be ``source``.

    Raises:
        OnnxError: ``source`` cannot be read.
        OutputError: ``output`` cannot be written; found before any work is done.
        SurgeryError: an operator of the domain that neither tf2trt nor the file knows; or the rewriting failed.
        MissingExtraError: onnx, onnx-graphsurgeon (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    check_writable(Path(output))
    require("onnx_graphsurgeon", "export")
    model = read_model(source)
    before = len(model.graph.node)
    model, report = run_pass("lower_plugins", lower_model, model)
    write_model(model, output)
    return SurgeryReport((report,), before, len(model.graph.node))


def run_pass(name: str, rewrite: Pass, model: Any) -> Tuple[Any, PassReport]:
    """Runs one pass and checks what it made: a valid model with the inputs and outputs, and the versions, it had.

    Returns:
        the new model and a :class:`PassReport`.

    Raises:
        SurgeryError: the pass failed, or its result is not valid; the message names the pass.
    """
    started = time.perf_counter()
    old_nodes = Counter((node.op_type, node.name) for node in model.graph.node)
    old_io, origins = _io(model), find_origins(model)
    ir_version = model.ir_version
    functions = {(function.domain, function.name): function for function in model.functions}
    notes: List[str] = []
    try:
        with _silent_graphsurgeon():
            model = rewrite(model, notes)
        kept = [function for function in model.functions if (function.domain, function.name) in functions]
        for function in kept:
            if function.domain == DOMAIN:  # onnx-graphsurgeon sorts and cleans functions too
                function.CopyFrom(functions[function.domain, function.name])
        if len(kept) == len(model.functions):
            model.ir_version = ir_version  # a newer one would shut out older ONNX Runtimes for nothing
        carry_origins(model, origins)
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
    return model, PassReport(name, changed, time.perf_counter() - started, tuple(notes))


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
