"""TF-TRT's engines, counted: which were built, for which input shapes, and which were not.

TF-TRT itself only logs what fails, and only the first five times. What counts here is what lies in its cache of
engines, which it writes to a file of records when it is asked to: one record for each engine that was built.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from tf2trt.extras import require
from tf2trt.hybrid.batches import Shapes
from tf2trt.hybrid.report import EngineReport
from tf2trt.hybrid.tftrt_graph import engine_name
from tf2trt.hybrid.tftrt_log import Failure, Log, engine_failures
from tf2trt.specs import ShapeRange

__all__ = ["Build", "EngineWatch", "asset_file", "read_records", "report_engine", "report_engines"]

RecordShapes = Tuple[Tuple[int, ...], ...]
"""The shapes of an engine's inputs, in its node's order."""

_NO_REASON = (
    "TF-TRT made no engine and logged no reason: the call may not reach this segment, or its log is off "
    "(TF_CPP_MIN_LOG_LEVEL)"
)


def asset_file(name: str) -> str:
    """The file in the SavedModel's assets that holds the engines of node ``name``."""
    return f"trt-serialized-engine.{name}"


def read_records(path: Path) -> List[RecordShapes]:
    """The input shapes of each engine in one of TF-TRT's files; the engines themselves are not read.

    It is a TFRecord file (length, checksum, data, checksum) of ``TRTEngineInstance`` messages: the shapes as
    ``TensorShapeProto`` in field 1, then the plan in field 2.
    """
    records: List[RecordShapes] = []
    with path.open("rb") as file:
        while True:
            header = file.read(12)
            if len(header) < 12:
                return records
            end = file.tell() + struct.unpack("<Q", header[:8])[0]
            records.append(tuple(_shapes(file, end)))
            file.seek(end + 4)


def _shapes(file: Any, end: int) -> Iterator[Tuple[int, ...]]:
    shape_proto = require("tensorflow.core.framework.tensor_shape_pb2", "export").TensorShapeProto
    while file.tell() < end:
        tag = _varint(file)
        length = _varint(file)
        if tag != (1 << 3 | 2):  # field 1 with a length: a shape
            return
        yield tuple(int(dim.size) for dim in shape_proto.FromString(file.read(length)).dim)


def _varint(file: Any) -> int:
    value, shift = 0, 0
    while True:
        byte = int(file.read(1)[0])
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7


@dataclass(frozen=True)
class Build:
    """What one call with new input shapes did to one engine node: engines that came, or why none did."""

    asked: Shapes
    made: Tuple[RecordShapes, ...] = ()
    seconds: float = 0.0
    reason: Optional[str] = None


class EngineWatch:
    """Looks into TF-TRT's cache before and after each call with new input shapes.

    Args:
        trt_convert: TensorFlow's module.
        names: of the engine nodes.
        log: where TF-TRT's lines are caught.
    """

    def __init__(self, trt_convert: Any, names: Sequence[str], log: Log) -> None:
        self.builds: Dict[str, List[Build]] = {name: [] for name in names}
        self._trt_convert = trt_convert
        self._log = log
        self._lines = 0
        self._began = 0.0
        self._there: Dict[str, List[RecordShapes]] = {}

    def before(self, shapes: Shapes) -> None:
        """Before a call with ``shapes``, which are new."""
        self._there = self._cached()
        self._lines = len(self._log.lines)
        self._began = time.monotonic()

    def after(self, shapes: Shapes) -> None:
        """After it."""
        seconds = time.monotonic() - self._began
        # The first of a node is the cause, those after it what came of it.
        lines = self._log.lines[self._lines :]
        failures = {failure.name: failure.reason for failure in reversed(engine_failures(lines))}
        now = self._cached()
        made = {name: [each for each in now[name] if each not in self._there[name]] for name in self.builds}
        number = sum(map(len, made.values()))
        for name, builds in self.builds.items():
            if made[name]:
                builds.append(Build(shapes, tuple(made[name]), seconds / number * len(made[name])))
            elif name in failures:
                builds.append(Build(shapes, reason=failures[name]))
            elif not _serves(now[name], shapes):
                builds.append(Build(shapes, reason=_NO_REASON))

    def _cached(self) -> Dict[str, List[RecordShapes]]:
        not_found = require("tensorflow", "export").errors.NotFoundError
        cached: Dict[str, List[RecordShapes]] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in self.builds:
                path = Path(folder) / asset_file(name)
                with contextlib.suppress(not_found):  # nothing was cached for this node
                    self._trt_convert.gen_trt_ops.serialize_trt_resource(
                        resource_name=name, filename=str(path), delete_resource=False
                    )
                cached[name] = read_records(path) if path.is_file() else []
        return cached


def _serves(records: Sequence[RecordShapes], shapes: Shapes) -> bool:
    """Whether an engine in the cache takes a call with ``shapes``: TF-TRT uses one for a larger batch too."""
    batches = [shape[0] for _, shape in shapes[:1] if shape]
    firsts = [record[0][0] for record in records if record and record[0]]
    return bool(records) and (not batches or not firsts or max(firsts) >= batches[0])


def report_engines(node: Any, saved: Path, builds: Sequence[Build], maximum: int) -> Tuple[EngineReport, ...]:
    """The engines of a node, and the attempts that came to nothing, where each engine is for its own input shapes.

    An engine's shapes are those of the node's inputs, a failed attempt's those of the model's.

    Args:
        node: of the converted ``GraphDef``.
        saved: the SavedModel's folder, with the engines in its assets.
        builds: what an :class:`EngineWatch` saw.
        maximum: ``maximum_cached_engines``.
    """
    file, records = _saved(saved, node)
    seconds = {made: build.seconds / len(build.made) for build in builds for made in build.made}
    # The file is in the order of use; here they come as they were built.
    ordered = dict.fromkeys([*(made for made in seconds if made in records), *records])
    reports = [EngineReport(_fixed(node, each), file, seconds.get(each, 0.0)) for each in ordered]
    pushed_out = f"pushed out of the cache by engines for other shapes: maximum_cached_engines={maximum}"
    for build in builds:
        gone = [made for made in build.made if made not in records]
        reports.extend(EngineReport(_fixed(node, made), None, seconds[made], pushed_out) for made in gone)
        if build.reason is not None:
            reports.append(EngineReport(_ranges([build.asked]), None, 0.0, build.reason))
    return tuple(reports)


def report_engine(
    node: Any, saved: Path, asked: Sequence[Shapes], seconds: float, failures: Sequence[Failure]
) -> Tuple[EngineReport, ...]:
    """The one engine of a node that is to take all the model's input shapes ``asked``, or why there is none.

    Args:
        node, saved: as for :func:`report_engines`.
        seconds: the time of the build.
        failures: what the log says.
    """
    file, records = _saved(saved, node)
    reasons = [failure.reason for failure in failures if failure.name == engine_name(node.name)]
    if records:
        return (EngineReport(_ranges(asked), file, seconds),)
    return (EngineReport(_ranges(asked), None, seconds, reasons[0] if reasons else _NO_REASON),)


def _saved(saved: Path, node: Any) -> Tuple[str, List[RecordShapes]]:
    file = saved / "assets" / asset_file(engine_name(node.name))
    return file.name, read_records(file) if file.is_file() else []


def _fixed(node: Any, record: RecordShapes) -> Dict[str, ShapeRange]:
    inputs = [each for each in node.input if not each.startswith("^")]
    return {name: ShapeRange(shape, shape, shape) for name, shape in zip(inputs, record)}


def _ranges(asked: Sequence[Shapes]) -> Mapping[str, ShapeRange]:
    ranges = {}
    for index, (name, first) in enumerate(asked[0] if asked else ()):
        extents = list(zip(*(shapes[index][1] for shapes in asked)))
        low, high = tuple(map(min, extents)), tuple(map(max, extents))
        ranges[name] = ShapeRange(low, first, high)
    return ranges
