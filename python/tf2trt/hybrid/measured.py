"""The share of the time: a model's nodes, measured in TensorFlow, in the report on its conversion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List

from tf2trt.errors import DeviceError, MissingExtraError, ModelError
from tf2trt.hybrid.cut import CutBody
from tf2trt.hybrid.frozen import Frozen
from tf2trt.hybrid.node_times import NodeKey, node_seconds
from tf2trt.hybrid.report import HybridReport
from tf2trt.hybrid.shapes import bind_batch

__all__ = ["with_measured_times"]


def with_measured_times(
    report: HybridReport, frozen: Frozen, cut_body: CutBody, batch: Any, runs: int = 5
) -> HybridReport:
    """``report`` with the time that each node takes when the model runs natively on ``batch`` (see
    :data:`tf2trt.hybrid.options.InputFunction`); where that cannot be measured, with a note that says why.

    A function that several nodes run is several bodies in the report: its time is shared out evenly among them.

    Raises:
        UsageError: the batch does not fit the model's inputs.
    """
    body = frozen.body
    feeds = dict(zip(body.inputs, bind_batch(frozen.inputs, batch)))
    try:
        seconds = node_seconds(body.graph_def, feeds, body.outputs, frozen.captures, runs)
    except (ModelError, DeviceError, MissingExtraError) as error:
        return replace(report, notes=(*report.notes, "Times of the nodes: " + " ".join(str(error).split())))
    bodies: Dict[str, List[str]] = {}
    for each in cut_body.all():
        for call, callee in each.callees:
            bodies.setdefault(call.function, []).append(callee.body.name)
    shared: Dict[NodeKey, float] = {}
    for (function, name), time in seconds.items():
        if function is None:
            shared[None, name] = time
        for place in bodies.get(function or "", ()):
            shared[place, name] = time / len(bodies[function or ""])
    return report.with_seconds(shared)
