"""Writes a GraphDef as a SavedModel with engines among its assets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence, Set

from tf2trt.errors import OutputError
from tf2trt.export.quiet import quiet_loggers, without_chatter
from tf2trt.export.source import brief
from tf2trt.extras import require
from tf2trt.hybrid.assemble import Plan
from tf2trt.hybrid.frozen import Frozen
from tf2trt.hybrid.op import load_op

__all__ = ["write_saved_model"]


def write_saved_model(
    frozen: Frozen, plan: Plan, assets: Sequence[Path], out: Path, signature: str, segments: Sequence[str]
) -> None:
    """Writes ``plan`` to the folder ``out`` with one signature, whose arguments and results are those of ``frozen``,
    and with a function ``tf2trt_stats()`` that tells the counts of ``segments``, which are names.

    ``assets`` are files that go into ``out/assets`` under their own names; the first is the one whose path the graph
    gets. Tables that the model looks things up in are written along.

    Raises:
        OutputError: TensorFlow cannot write it.
    """
    tensorflow = require("tensorflow", "export")
    wrap = require("tensorflow.python.eager.wrap_function", "export").function_from_graph_def
    module = tensorflow.Module()
    module.assets = [tensorflow.saved_model.Asset(str(path)) for path in assets]
    module.resources = _owners(tensorflow, frozen)
    captures = list(frozen.captures)
    inputs = [*plan.inputs, *(f"{name}:0" for name in captures)]
    run = wrap(plan.graph_def, inputs, list(plan.outputs))
    given = [
        tensorflow.TensorSpec([None if extent < 0 else extent for extent in spec.shape], spec.dtype, spec.name)
        for spec in frozen.inputs
    ]

    def serve(*tensors: Any) -> Dict[str, Any]:
        held = [frozen.captures[name] for name in captures]
        return dict(zip(frozen.outputs, run(*tensors, module.assets[0].asset_path, *held)))

    module.serve = tensorflow.function(serve, input_signature=given)
    module.tf2trt_stats = tensorflow.function(lambda: _counts(segments), input_signature=[])
    try:
        with quiet_loggers(), without_chatter():
            tensorflow.saved_model.save(module, str(out), signatures={signature: module.serve})
    except (tensorflow.errors.OpError, ValueError, AssertionError, OSError) as error:
        raise OutputError(f"TensorFlow cannot write the SavedModel {out}", received=brief(error)) from error


def _counts(segments: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Scalars by segment, and in each by what they count: ``engine_calls``, ``native_calls`` and ``builds``."""
    op = load_op()
    return {segment: dict(op.tf2_trt_stats(segment=segment)._asdict()) for segment in segments}


def _owners(tensorflow: Any, frozen: Frozen) -> List[Any]:
    """The objects of the model that own the captured resources, so that they are saved with what uses them."""
    handles: Set[int] = {id(handle) for handle in frozen.captures.values()}
    if not handles:
        return []
    parts = tensorflow.train.TrackableView(frozen.loaded).descendants()
    return [part for part in parts if id(getattr(part, "resource_handle", None)) in handles]
