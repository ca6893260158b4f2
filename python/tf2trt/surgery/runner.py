"""Runs the table of passes over a file."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from tf2trt.errors import SurgeryError, Tf2TrtError, UsageError
from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.onnx_files import check_target, temporary_folder
from tf2trt.onnx_skeleton import check_graph
from tf2trt.surgery.collapse import collapse
from tf2trt.surgery.files import has_weights_beside, read_model, write_model
from tf2trt.surgery.interface import Interface, apply_interface
from tf2trt.surgery.options import SurgeryOptions
from tf2trt.surgery.origin import carry_origins, find_origins
from tf2trt.surgery.passes import PASSES, PLUGINS, Pass
from tf2trt.surgery.plugins.functions import DOMAIN
from tf2trt.surgery.plugins.lower import lower_model
from tf2trt.surgery.report import PassReport, SurgeryReport, make_report
from tf2trt.surgery.user_rewrites import load_rewrites
from tf2trt.surgery.weights import settle, weight_folder
from tf2trt.surgery.whole_graph import WholeGraph

__all__ = ["check_options", "check_plugin_names", "lower_plugins", "run_pass", "simplify", "simplify_in"]

PathLike = Union[str, "os.PathLike[str]"]
_TOLERANCE = 1e-5  # of the whole model's results, by relative_error; more where rounding alone does more


def simplify(
    source: PathLike, output: PathLike, options: Optional[SurgeryOptions] = None, *, plugins: Sequence[str] = ()
) -> SurgeryReport:
    """Rewrites a model for TensorRT; it computes the same, under the same names, but for what ``options`` change.

    Of large weights there is one copy in memory at most, which ONNX Runtime maps from files to compare. These files lie
    beside ``output`` while this runs, so that its disk needs space for the weights three times.

    Args:
        source: an ONNX file, its weights inside or beside it.
        output: the ONNX file to write, whole or not at all; may be ``source``. Weights that lay beside ``source``, and
            those of models over 1.8 GB, lie in ``OUTPUT.data``.
        options: other inputs and outputs, sub-graphs to collapse, rewrites of the user's; by default none.
        plugins: what is to become a plugin of ours: ``"l2_normalize"``, ``"leaky_relu"``. Each pattern found becomes
            one node of domain ``tf2trt``, after its result and the whole model's were compared in ONNX Runtime; an
            ONNX function in the file says what the node computes, so the file runs there as before. By default
            nothing, and :func:`lower_plugins` is the way back.

    Returns:
        a report of each pass, and how far the model's results in ONNX Runtime are from those before the passes.

    Raises:
        UsageError: ``options`` or ``plugins`` name what is not there.
        OnnxError: ``source`` cannot be read.
        OutputError: ``output`` cannot be written; found before any work is done.
        SurgeryError: a pass failed, or the model computes something else after the passes, or a plugin does; the
            message names the pass or the node.
        MissingExtraError: onnx, onnx-graphsurgeon (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    started = time.perf_counter()
    given = options or SurgeryOptions()
    of_user = check_options(given, plugins)
    check_writable(Path(output))
    check_target(Path(source), Path(output))
    with temporary_folder(Path(output)) as folder:
        return _simplify(folder, source, output, given, of_user, plugins, None, started)


def simplify_in(
    folder: Path, source: Path, output: Path, options: SurgeryOptions, *, plugins: Sequence[str] = (), beside: bool
) -> SurgeryReport:
    """:func:`simplify` in a folder that the caller made for it and removes; ``source`` may lie there, and its weights
    are then not copied.

    Args:
        beside: whether the weights are to lie in ``OUTPUT.data`` even if they are few.
    """
    started = time.perf_counter()
    return _simplify(folder, source, output, options, check_options(options, plugins), plugins, beside, started)


def _simplify(
    folder: Path,
    source: PathLike,
    output: PathLike,
    given: SurgeryOptions,
    of_user: Sequence[Tuple[str, Pass]],
    plugins: Sequence[str],
    beside: Optional[bool],
    started: float,
) -> SurgeryReport:
    require("onnx_graphsurgeon", "export")
    with weight_folder(folder):
        model = read_model(source)
        before = len(model.graph.node)
        reports: List[PassReport] = []
        if given.interface:
            model, report = _run_interface(given.interface, model)
            reports.append(report)
        whole = WholeGraph(model, _TOLERANCE)
        for name, rewrite in PASSES:
            model, report = run_pass(name, rewrite, model)
            reports.append(report)
        error = whole.compare(model)
        for name, rewrite in [*of_user, *(item for item in PLUGINS if item[0] in plugins)]:
            model, report = run_pass(name, rewrite, model)
            reports.append(report)
        write_model(model, output, beside=has_weights_beside(source) if beside is None else beside)
        seconds = time.perf_counter() - started
        return make_report(reports, before, model, seconds, error, whole.reason)


def check_options(options: SurgeryOptions, plugins: Sequence[str] = ()) -> List[Tuple[str, Pass]]:
    """For callers with long work before :func:`simplify`: whatever can be seen without the model.

    Returns:
        the passes that ``options`` ask for, with their names.

    Raises:
        UsageError: ``plugins`` names what is not there, or a file of rewrites is missing, cannot be imported or holds
            none.
    """
    check_plugin_names(plugins)
    passes: List[Tuple[str, Pass]] = []
    for item in options.collapses:
        passes.append((f"collapse {item.op}", partial(collapse, item)))
    for path in options.rewrites:
        passes.extend(load_rewrites(path))
    return passes


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
    check_target(Path(source), Path(output))
    require("onnx_graphsurgeon", "export")
    with temporary_folder(Path(output)) as folder, weight_folder(folder):
        model = read_model(source)
        before = len(model.graph.node)
        model, report = run_pass("lower_plugins", lower_model, model)
        write_model(model, output, beside=has_weights_beside(source))
    return make_report([report], before, model, report.seconds)


def run_pass(name: str, rewrite: Pass, model: Any) -> Tuple[Any, PassReport]:
    """Runs one pass and checks what it made: a valid model with the inputs and outputs, and the versions, it had.

    Returns:
        the new model and a :class:`PassReport`.

    Raises:
        SurgeryError: the pass failed, or its result is not valid; the message names the pass.
    """
    started = time.perf_counter()
    old_nodes = Counter((node.op_type, node.name) for node in model.graph.node)
    old_io, old_form, origins = _io(model), _form(model), find_origins(model)
    ir_version = model.ir_version
    functions = {(function.domain, function.name): function for function in model.functions}
    notes: List[str] = []
    try:
        with _silent_graphsurgeon():
            model = settle(rewrite(model, notes))
        kept = [function for function in model.functions if (function.domain, function.name) in functions]
        for function in kept:
            if function.domain == DOMAIN:  # onnx-graphsurgeon sorts and cleans functions too
                function.CopyFrom(functions[function.domain, function.name])
        if len(kept) == len(model.functions):
            model.ir_version = ir_version  # a newer one would shut out older ONNX Runtimes for nothing
        carry_origins(model, origins)
        if _form(model) != old_form:
            check_graph(model)
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


def _run_interface(interface: Interface, model: Any) -> Tuple[Any, PassReport]:
    """:func:`apply_interface` as a pass: it alone may change inputs and outputs."""
    started = time.perf_counter()
    notes: List[str] = []
    before = len(model.graph.node)
    model = settle(apply_interface(model, interface, notes))
    try:
        check_graph(model)
    except Exception as error:
        raise SurgeryError("the model with these inputs and outputs is not valid", received=str(error)) from error
    changed = abs(len(model.graph.node) - before)
    return model, PassReport("interface", changed, time.perf_counter() - started, tuple(notes))


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


def _form(model: Any) -> Any:
    """All of the main graph that can be wrong, but for the values of weights."""
    graph = model.graph
    nodes = [node.SerializeToString(deterministic=True) for node in graph.node]
    weights = [(tensor.name, tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer]
    return nodes, sorted(weights), len(model.functions), [(item.domain, item.version) for item in model.opset_import]


def _io(model: Any) -> Any:
    return [(value.name, value.type.tensor_type.elem_type) for value in [*model.graph.input, *model.graph.output]]
