"""What became of the calls of a converted model's segments at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List

from tf2trt.errors import UsageError
from tf2trt.hybrid.op import load_op

__all__ = ["SegmentStats", "segments_of", "stats"]

_OP = "Tf2TrtEngine"


@dataclass(frozen=True)
class SegmentStats:
    """How often a segment ran as an engine and natively in this process, and how many engines were built meanwhile."""

    engine_calls: int
    native_calls: int
    builds: int


def stats(model: Any) -> Dict[str, SegmentStats]:
    """The counts of each segment of a loaded model, by the segment's name; in the order in which the graph has them.

    ``model`` is what ``tf.saved_model.load`` returned for a converted model, or a concrete function of one. The counts
    are the process's: two copies of the same model count together. ``model.tf2trt_stats()`` tells the same as tensors,
    in dictionaries.

    Raises:
        UsageError: ``model`` is neither, or has no segment.
    """
    op = load_op()
    found = {}
    for segment in segments_of(model):
        engine_calls, native_calls, builds = op.tf2_trt_stats(segment=segment)
        found[segment] = SegmentStats(int(engine_calls), int(native_calls), int(builds))
    return found


def segments_of(model: Any) -> List[str]:
    """The names of a loaded model's segments. Raises UsageError as :func:`stats` does."""
    if hasattr(model, "graph"):
        functions = [model]
    elif hasattr(model, "signatures"):
        functions = list(model.signatures.values())
    else:
        raise UsageError(
            "this is no loaded model",
            received=type(model).__name__,
            expected="what tf.saved_model.load returned, or a concrete function",
        )
    names = [
        node.attr["segment"].s.decode()
        for function in functions
        for node in _nodes(function.graph.as_graph_def())
        if node.op == _OP
    ]
    if not names:
        raise UsageError(
            f"the model has no {_OP}", expected="a model that tf2trt.hybrid.convert wrote, with at least one segment"
        )
    return list(dict.fromkeys(names))


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def
