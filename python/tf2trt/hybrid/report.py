"""What became of a model: which nodes run in engines, which stay with TensorFlow, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Tuple

from tf2trt.errors import ModelError, UsageError
from tf2trt.hybrid.coverage import Coverage, count_nodes, measure
from tf2trt.specs import ShapeRange, format_shape

__all__ = [
    "CoverageError",
    "EngineReport",
    "HybridReport",
    "NodeReport",
    "SegmentReport",
    "check_strict",
    "format_ranges",
]

_SHOWN = 5  # reasons in an error message


@dataclass(frozen=True)
class NodeReport:
    """A node of the frozen graph, before it was cut.

    ``inputs`` are the names of the nodes that it reads, data and control alike, without ``^`` and ``:0``. ``reason``
    says why the node stays with TensorFlow; None for a node of a segment. ``seconds`` is its time in the native model
    where that was measured. ``function`` is the function whose body holds the node (of a loop, say); None for the main
    graph. ``name`` is unique within one of these, and ``inputs`` are in the same one.
    """

    name: str
    op: str
    inputs: Tuple[str, ...] = ()
    reason: Optional[str] = None
    seconds: Optional[float] = None
    function: Optional[str] = None

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes; what is not known is left out."""
        plain: Dict[str, Any] = {"name": self.name, "op": self.op, "inputs": list(self.inputs)}
        return {**plain, **_given(reason=self.reason, seconds=self.seconds, function=self.function)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> NodeReport:
        """The opposite of :meth:`to_json`."""
        optional = (plain.get(key) for key in ("reason", "seconds", "function"))
        return cls(plain["name"], plain["op"], tuple(plain["inputs"]), *optional)


@dataclass(frozen=True)
class EngineReport:
    """One engine of a segment, or the attempt to build it.

    ``shapes`` are what it was asked for, by input name; a fixed shape has min = opt = max. ``file`` is its name in the
    SavedModel's assets, None where it was not built or is not kept as a file. ``reason`` says why it was not built;
    None: it was. ``seconds`` is the time of the build.
    """

    shapes: Mapping[str, ShapeRange]
    file: Optional[str] = None
    seconds: float = 0.0
    reason: Optional[str] = None

    @property
    def built(self) -> bool:
        """Whether there is an engine."""
        return self.reason is None

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        shapes = {
            name: {"min": list(each.min), "opt": list(each.opt), "max": list(each.max)}
            for name, each in self.shapes.items()
        }
        return {"shapes": shapes, "file": self.file, "seconds": round(self.seconds, 3), **_given(reason=self.reason)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> EngineReport:
        """The opposite of :meth:`to_json`."""
        shapes = {
            name: ShapeRange(tuple(each["min"]), tuple(each["opt"]), tuple(each["max"]))
            for name, each in plain["shapes"].items()
        }
        return cls(shapes, plain["file"], plain["seconds"], plain.get("reason"))


@dataclass(frozen=True)
class SegmentReport:
    """Nodes that were cut out together, and the engines for them: one for each profile or set of input shapes.

    ``reason`` says why there is no engine at all, where that is no single build's matter (an export that failed,
    building left to run time).
    """

    name: str
    nodes: Tuple[NodeReport, ...]
    engines: Tuple[EngineReport, ...] = ()
    reason: Optional[str] = None

    @property
    def built(self) -> bool:
        """Whether every engine that was asked for is there: then, and only then, the nodes count as converted."""
        return self.reason is None and bool(self.engines) and all(engine.built for engine in self.engines)

    @property
    def why_not(self) -> Optional[str]:
        """Why not all engines are there; None where they are."""
        if self.built:
            return None
        reasons = [engine.reason for engine in self.engines if engine.reason is not None]
        return self.reason or "; ".join(dict.fromkeys(reasons)) or "no engine was built yet"

    @property
    def build_seconds(self) -> float:
        """The time of all builds, those that failed too."""
        return sum(engine.seconds for engine in self.engines)

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        plain: Dict[str, Any] = {"name": self.name, "built": self.built}
        plain["engines"] = [engine.to_json() for engine in self.engines]
        return {**plain, **_given(reason=self.reason), "nodes": [node.to_json() for node in self.nodes]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> SegmentReport:
        """The opposite of :meth:`to_json`."""
        nodes = tuple(map(NodeReport.from_json, plain["nodes"]))
        return cls(plain["name"], nodes, tuple(map(EngineReport.from_json, plain["engines"])), plain.get("reason"))


@dataclass(frozen=True)
class HybridReport:
    """What a hybrid conversion did with every node.

    ``backend`` is ``"tf2trt"`` or ``"tf-trt"``; ``versions`` those of what took part, such as ``{"tensorflow": ...,
    "tensorrt": ...}``. ``native`` are the nodes in no segment, each with its reason; nodes of a segment without an
    engine are in the segment, which has the reason. ``notes`` are sentences for people.
    """

    backend: str
    precision: str
    versions: Mapping[str, str]
    segments: Tuple[SegmentReport, ...]
    native: Tuple[NodeReport, ...]
    seconds: float = 0.0
    notes: Tuple[str, ...] = field(default=())

    @property
    def coverage(self) -> Coverage:
        """How much of the model runs in engines."""
        converted = [node for segment in self.segments if segment.built for node in segment.nodes]
        left = [node for segment in self.segments if not segment.built for node in segment.nodes]
        return measure(converted, [*left, *self.native])

    @property
    def native_reasons(self) -> Dict[str, int]:
        """Why nodes stay with TensorFlow, and how many by each reason, the most frequent first. Nodes that compute
        nothing (see :data:`~tf2trt.hybrid.coverage.FREE`) are not counted.
        """
        counts: Dict[str, int] = {}
        for segment in self.segments:
            if not segment.built:
                _count(counts, f"{segment.name}: {segment.why_not}", segment.nodes)
        for node in self.native:
            _count(counts, node.reason or "no reason was given", (node,))
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def with_seconds(self, seconds: Mapping[Tuple[Optional[str], str], float]) -> HybridReport:
        """The same report with the measured times of :func:`~tf2trt.hybrid.node_times.node_seconds`, by function and
        name; a node without one took none.
        """

        def timed(nodes: Tuple[NodeReport, ...]) -> Tuple[NodeReport, ...]:
            return tuple(replace(node, seconds=seconds.get((node.function, node.name), 0.0)) for node in nodes)

        segments = tuple(replace(segment, nodes=timed(segment.nodes)) for segment in self.segments)
        return replace(self, segments=segments, native=timed(self.native))

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "backend": self.backend,
            "precision": self.precision,
            "versions": dict(self.versions),
            "coverage": self.coverage.to_json(),
            "seconds": round(self.seconds, 3),
            "native_reasons": self.native_reasons,
            "segments": [segment.to_json() for segment in self.segments],
            "native": [node.to_json() for node in self.native],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> HybridReport:
        """The opposite of :meth:`to_json`; what follows from the rest (coverage, counts) is computed anew.

        Raises:
            UsageError: ``plain`` is not a report of this form.
        """
        try:
            return cls(
                plain["backend"],
                plain["precision"],
                dict(plain["versions"]),
                tuple(map(SegmentReport.from_json, plain["segments"])),
                tuple(map(NodeReport.from_json, plain["native"])),
                plain["seconds"],
                tuple(plain["notes"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            given = json.dumps(plain, default=str)[:80]
            raise UsageError("not a hybrid report", received=f"{given} ({error!r})") from error


class CoverageError(ModelError):
    """Less of a model runs in engines than ``strict`` asks for; ``report`` says what stays with TensorFlow."""

    def __init__(self, report: HybridReport, share: float) -> None:
        reasons = [
            f"{count} {'node' if count == 1 else 'nodes'}: {reason}" for reason, count in report.native_reasons.items()
        ]
        more = [f"and {len(reasons) - _SHOWN} more reasons"] if len(reasons) > _SHOWN else []
        super().__init__(
            "too little of the model runs in engines",
            received="\n    ".join([report.coverage.text, *reasons[:_SHOWN], *more]),
            expected=f"at least {share:.1%} (strict)",
            hint="the report names every node that stays with TensorFlow; without strict these run natively",
        )
        self.report = report


def check_strict(report: HybridReport, share: Optional[float]) -> None:
    """Makes sure that at least ``share`` (0 to 1) of the model runs in engines: of its nodes, and of its time where
    that was measured. None asks for nothing.

    Raises:
        UsageError: ``share`` is not between 0 and 1.
        CoverageError: less runs in engines; the message names the most frequent reasons.
    """
    if share is None:
        return
    if not 0.0 <= share <= 1.0:
        raise UsageError("strict", received=share, expected="a share from 0 to 1, such as 0.95")
    if report.coverage.share < share:
        raise CoverageError(report, share)


def format_ranges(shapes: Mapping[str, ShapeRange]) -> str:
    """Shapes for people: ``"x: 1x224x224x3..8x224x224x3"``, or one shape where it is fixed."""
    texts = []
    for name, each in shapes.items():
        fixed = each.min == each.max
        shape = format_shape(each.max) if fixed else f"{format_shape(each.min)}..{format_shape(each.max)}"
        texts.append(f"{name}: {shape}")
    return ", ".join(texts)


def _given(**values: Any) -> Dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _count(counts: Dict[str, int], reason: str, nodes: Tuple[NodeReport, ...]) -> None:
    number = count_nodes(nodes)
    if number:
        counts[reason] = counts.get(reason, 0) + number
