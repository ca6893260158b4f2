"""The report on a hybrid conversion: what counts as converted, JSON and back, and strict."""

import json

import pytest

from tf2trt.errors import ModelError, UsageError
from tf2trt.hybrid.report import (
    CoverageError,
    EngineReport,
    HybridReport,
    NodeReport,
    SegmentReport,
    check_strict,
    format_ranges,
)
from tf2trt.specs import ShapeRange

DYNAMIC = {"x": ShapeRange((1, 8), (4, 8), (8, 8)), "mask": ShapeRange((2,), (2,), (2,))}


def nodes(op, *names, reason=None, seconds=None, function=None):
    return tuple(NodeReport(name, op, ("x",), reason, seconds, function) for name in names)


def report(segments=(), native=()):
    versions = {"tensorflow": "2.21.0", "tensorrt": "8.6.0"}
    return HybridReport("tf2trt", "FP16", versions, tuple(segments), tuple(native), 12.5, ("a note",))


def full():
    built = SegmentReport("segment_0", nodes("Conv2D", "a", "b", "c"), (EngineReport(DYNAMIC, "0.engine", 1.25),))
    engines = (EngineReport(DYNAMIC, "1.engine", 2.0), EngineReport(DYNAMIC, None, 0.5, "out of memory"))
    partly = SegmentReport("segment_1", nodes("MatMul", "d", function="body"), engines)
    left_out = SegmentReport("segment_2", nodes("Relu", "e", "f"), (), "export failed")
    native = (*nodes("PyFunc", "g", reason="a Python function"), *nodes("Const", "h", reason="not computed"))
    return report([built, partly, left_out], native)


def test_only_a_segment_with_all_its_engines_counts_as_converted():
    assert [segment.built for segment in full().segments] == [True, False, False]
    assert [segment.why_not for segment in full().segments] == [None, "out of memory", "export failed"]
    assert (full().coverage.converted, full().coverage.nodes) == (3, 7)  # a constant computes nothing
    assert full().coverage.share == pytest.approx(3 / 7)
    assert full().segments[1].build_seconds == 2.5


def test_a_segment_without_an_engine_yet_is_not_converted():
    segment = SegmentReport("s", nodes("Relu", "a"))
    assert not segment.built
    assert segment.why_not == "no engine was built yet"


def test_reasons_are_counted_the_most_frequent_first():
    counted = {"segment_2: export failed": 2, "segment_1: out of memory": 1, "a Python function": 1}
    assert full().native_reasons == counted
    assert next(iter(full().native_reasons)) == "segment_2: export failed"


def test_json_and_back():
    assert HybridReport.from_json(json.loads(json.dumps(full().to_json()))) == full()
    timed = full().with_seconds({(None, "a"): 0.5, ("body", "d"): 0.25})
    assert HybridReport.from_json(json.loads(json.dumps(timed.to_json()))) == timed


@pytest.mark.parametrize("plain", [{}, {"backend": "tf2trt"}, {**full().to_json(), "segments": [{"name": 1}]}, 7])
def test_what_is_no_report_is_refused(plain):
    with pytest.raises(UsageError, match="not a hybrid report"):
        HybridReport.from_json(plain)


@pytest.mark.parametrize(("first", "share"), [(3.0, 3 / 7), (0.5, 0.5 / 2.5)])
def test_the_lesser_of_nodes_and_time_decides(first, share):
    times = {(None, "a"): first, ("body", "d"): 1.0, (None, "g"): 1.0, (None, "h"): 9.0}  # "h" is a constant
    timed = full().with_seconds(times)
    assert timed.coverage.node_share == pytest.approx(3 / 7)
    assert timed.coverage.time_share == pytest.approx(first / (first + 2))
    assert timed.coverage.share == pytest.approx(share)
    check_strict(timed, share - 0.01)
    with pytest.raises(CoverageError, match="of the measured time"):
        check_strict(timed, share + 0.01)


def test_a_name_in_a_function_is_not_the_main_graph_s():
    timed = full().with_seconds({(None, "d"): 5.0, (None, "a"): 1.0})
    assert timed.segments[1].nodes[0].seconds == 0.0


def test_strict_says_what_is_missing_and_keeps_the_report():
    with pytest.raises(ModelError) as caught:
        check_strict(full(), 0.95)
    for text in ("3 of 7 nodes (42.9%)", "95.0%", "2 nodes: segment_2: export failed", "1 node: a Python function"):
        assert text in str(caught.value)
    assert caught.value.report == full()
    many = report(native=[NodeReport(f"n{i}", "Op", (), f"reason {i}") for i in range(9)])
    with pytest.raises(CoverageError, match="and 4 more reasons"):
        check_strict(many, 0.5)


def test_strict_at_its_ends():
    check_strict(full(), None)
    check_strict(full(), 0.0)
    check_strict(report([full().segments[0]]), 1.0)
    with pytest.raises(CoverageError):
        check_strict(report(), 1.0)  # a model that computes nothing was not converted
    for share in (-0.1, 1.5, 95, float("nan")):
        with pytest.raises(UsageError, match="share from 0 to 1"):
            check_strict(full(), share)


def test_shapes_for_people():
    assert format_ranges(DYNAMIC) == "x: 1x8..8x8, mask: 2"
    assert format_ranges({}) == ""
