"""The report as rows of text, for tables in a terminal."""

from __future__ import annotations

from collections import Counter
from typing import Dict, Iterable, List, Tuple

from tf2trt.hybrid.coverage import FREE, count_nodes
from tf2trt.hybrid.report import HybridReport, NodeReport, format_ranges

__all__ = ["NATIVE_COLUMNS", "SEGMENT_COLUMNS", "native_rows", "segment_rows"]

SEGMENT_COLUMNS = ("segment", "nodes", "operators", "shapes", "engine", "build")
NATIVE_COLUMNS = ("nodes", "operators", "why they stay with TensorFlow")
_OPERATORS = 4  # named in a cell


def segment_rows(report: HybridReport) -> List[Tuple[str, ...]]:
    """One row for each segment, and one more for each further engine; under :data:`SEGMENT_COLUMNS`. Nodes that compute
    nothing are not counted.
    """
    rows: List[Tuple[str, ...]] = []
    for segment in report.segments:
        told = (segment.name, str(count_nodes(segment.nodes)), _operators(segment.nodes))
        if segment.reason is not None or not segment.engines:
            rows.append((*told, "", f"none: {segment.why_not}", ""))
            told = ("", "", "")
        for engine in segment.engines:
            state = f"none: {engine.reason}" if engine.reason is not None else engine.file or "built"
            rows.append((*told, format_ranges(engine.shapes), state, f"{engine.seconds:.1f} s"))
            told = ("", "", "")
    return rows


def native_rows(report: HybridReport) -> List[Tuple[str, ...]]:
    """One row for each reason, the most frequent first; under :data:`NATIVE_COLUMNS`. Nodes that compute nothing and
    those of segments without an engine are not counted.
    """
    by_reason: Dict[str, List[NodeReport]] = {}
    for node in report.native:
        if node.op not in FREE:
            by_reason.setdefault(node.reason or "no reason was given", []).append(node)
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return [(str(len(nodes)), _operators(nodes), reason) for reason, nodes in ordered]


def _operators(nodes: Iterable[NodeReport]) -> str:
    counts = Counter(node.op for node in nodes if node.op not in FREE).most_common()
    texts = [op if number == 1 else f"{op} x{number}" for op, number in counts[:_OPERATORS]]
    return ", ".join(texts) + (f" and {len(counts) - _OPERATORS} more" if len(counts) > _OPERATORS else "")
