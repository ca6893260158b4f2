"""The picture of a segmented graph: what its boxes hold, that it can be drawn at all, and what it says."""

import random
import xml.etree.ElementTree as ElementTree

import pytest

from tf2trt.drawing.layout import lay_out
from tf2trt.hybrid.picture import graph_picture
from tf2trt.hybrid.picture_groups import group_nodes
from tf2trt.hybrid.report import EngineReport, HybridReport, NodeReport, SegmentReport
from tf2trt.specs import ShapeRange

SVG = "{http://www.w3.org/2000/svg}"


def engine(file="0.engine", reason=None):
    return EngineReport({"x": ShapeRange((1, 8), (1, 8), (8, 8))}, file, 2.5, reason)


def native(name, op, *inputs, reason="not for TensorRT", function=None, seconds=None):
    return NodeReport(name, op, inputs, reason, seconds, function)


def inside(name, op, *inputs, function=None, seconds=None):
    return NodeReport(name, op, inputs, None, seconds, function)


def report(segments, rest):
    return HybridReport("tf2trt", "FP16", {"tensorflow": "2.21.0"}, tuple(segments), tuple(rest))


@pytest.fixture
def detector():
    """x -> segment -> lookup -> Cast -> segment without an engine -> outputs; a loop, whose body has a segment."""
    first = SegmentReport(
        "segment_0", (inside("conv", "Conv2D", "x", "w"), inside("relu", "Relu", "conv")), (engine(),)
    )
    second = SegmentReport("segment_1", (inside("dense", "MatMul", "kept"),), (), "export <failed> & more")
    body = SegmentReport("segment_2", (inside("conv", "MatMul", "state", function="body"),), (engine("2.engine"),))
    rest = [
        native("x", "Placeholder"),
        native("w", "Const"),
        native("lookup", "LookupTableFindV2", "relu", reason="strings"),
        native("cast", "Cast", "lookup", reason="the segment would have 1 node"),
        native("kept", "Identity", "cast"),
        native("loop", "While", "dense", "relu", "wait"),
        native("wait", "NoOp", "lookup"),
        native("state", "Placeholder", function="body"),
        native("unused", "Placeholder", function="body"),
        native("shape", "Shape", "conv", function="body"),
    ]
    return report([first, second, body], rest)


def test_native_neighbours_are_one_box_and_segments_one_each(detector):
    main, body = group_nodes(detector)
    named = {box.segment.name if box.segment else box.nodes[0].name: box for box in main.boxes}
    assert set(named) == {"x", "segment_0", "lookup", "segment_1", "loop"}  # neither the constant nor the identity
    assert [node.name for node in named["lookup"].nodes] == ["lookup", "cast"]
    assert named["lookup"].reasons == [("strings", 1), ("the segment would have 1 node", 1)]
    places = {name: main.boxes.index(box) for name, box in named.items()}
    expected = {
        ("x", "segment_0"),
        ("segment_0", "lookup"),
        ("lookup", "segment_1"),  # through the identity
        ("segment_1", "loop"),
        ("segment_0", "loop"),
    }
    assert main.edges == {(places[source], places[target]) for source, target in expected}
    assert body.function == "body"
    assert [box.kind for box in body.boxes] == ["segment", "input", "native"]


def test_a_box_never_holds_nodes_with_a_segment_between_them():
    middle = SegmentReport("s", (inside("m", "Relu", "before"),), (engine(),))
    rest = [native("before", "A"), native("after", "B", "m", "before"), native("beside", "C", "before")]
    (main,) = group_nodes(report([middle], rest))
    assert sorted(tuple(node.name for node in box.nodes) for box in main.boxes) == [
        ("after",),
        ("before", "beside"),
        ("m",),
    ]


def test_random_graphs_are_layered_and_no_node_is_lost():
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(60):
        count = rng.randrange(1, 60)
        edges = {node: rng.sample(range(node), min(node, rng.randrange(4))) for node in range(count)}
        # Segments are runs in a topological order, so that no path leaves one and comes back without being cut.
        owner, segments = {}, []
        for start in range(0, count, 5):
            if rng.random() < 0.5:
                members = range(start, min(count, start + 5))
                owner.update(dict.fromkeys(members, len(segments)))
                nodes = tuple(inside(f"n{n}", "Relu", *(f"n{e}" for e in edges[n])) for n in members)
                segments.append(SegmentReport(f"s{len(segments)}", nodes, (engine(),)))
        rest = [native(f"n{n}", "PyFunc", *(f"n{e}" for e in edges[n])) for n in range(count) if n not in owner]
        (main,) = group_nodes(report(segments, rest))
        assert sorted(node.name for box in main.boxes for node in box.nodes) == sorted(f"n{n}" for n in range(count))
        assert all(main.boxes[a].level < main.boxes[b].level for a, b in main.edges)
        box_of = {node.name: place for place, box in enumerate(main.boxes) for node in box.nodes}
        wanted = {(box_of[f"n{e}"], box_of[f"n{n}"]) for n in edges for e in edges[n]}
        assert main.edges == {edge for edge in wanted if edge[0] != edge[1]}


def test_many_native_groups_in_a_row_share_a_box():
    (main,) = group_nodes(report([], [native(f"n{n}", "PyFunc") for n in range(40)]))
    assert len(main.boxes) == 6
    assert sum(len(box.nodes) for box in main.boxes) == 40


def test_a_cycle_is_drawn_all_the_same():
    rest = [native("a", "Merge", "d"), native("b", "Switch", "a"), native("d", "NextIteration", "s")]
    loop = SegmentReport("s", (inside("s", "MatMul", "b"),), (engine(),))
    (main,) = group_nodes(report([loop], rest))
    assert sorted(node.name for box in main.boxes for node in box.nodes) == ["a", "b", "d", "s"]
    ElementTree.fromstring(graph_picture(report([loop], rest)))


def test_boxes_do_not_overlap_and_edges_end_at_them():
    levels, edges = [0, 1, 1, 2, 5, 1], {(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 4), (5, 4)}
    size, gap = (100, 40), (10, 30)
    layout = lay_out(levels, edges, size, gap)
    corners = layout.corners
    for a in range(len(levels)):
        assert 0 <= corners[a][0] <= layout.width - size[0]
        assert 0 <= corners[a][1] <= layout.height - size[1]
        for b in range(a):
            apart = abs(corners[a][0] - corners[b][0]) >= size[0] + gap[0]
            assert apart or abs(corners[a][1] - corners[b][1]) >= size[1] + gap[1]
    for (source, target), points in layout.lines.items():
        assert points[0] == (corners[source][0] + 50, corners[source][1] + 40)
        assert points[-1] == (corners[target][0] + 50, corners[target][1])
        for x, y in points[1:-1]:  # an edge that skips a row passes no box there
            assert not any(left < x < left + 100 and top < y < top + 40 for left, top in corners)


def test_the_picture_says_what_each_box_is(detector):
    root = ElementTree.fromstring(graph_picture(detector))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    tooltips = [element.text for element in root.iter(f"{SVG}title")]
    assert "tf2trt FP16: 3 of 8 nodes (37.5%) in engines" in texts
    assert "tensorflow 2.21.0" in texts
    assert {"graph", "function body", "segment_0, 2 nodes", "0.engine", "Conv2D, Relu"} <= set(texts)
    assert "export <failed> & more" in texts
    assert any("x: 1x8..8x8: 0.engine, 2.5 s" in text and "conv (Conv2D)" in text for text in tooltips)
    assert any("1: strings" in text and "lookup (LookupTableFindV2)" in text for text in tooltips)
    assert "http" not in graph_picture(detector).replace("http://www.w3.org/2000/svg", "")


def test_a_long_name_keeps_its_end():
    node = native("StatefulPartitionedCall/StatefulPartitionedCall/Unique", "Unique")
    texts = [each.text for each in ElementTree.fromstring(graph_picture(report([], [node]))).iter(f"{SVG}text")]
    assert any(text.endswith("PartitionedCall/Unique") and text.startswith("\N{HORIZONTAL ELLIPSIS}") for text in texts)


def test_measured_times_are_shown(detector):
    times = {(None, "conv"): 0.2, (None, "relu"): 0.1, (None, "lookup"): 0.7}
    texts = [e.text for e in ElementTree.fromstring(graph_picture(detector.with_seconds(times))).iter(f"{SVG}title")]
    assert any(text.startswith("segment_0, 2 nodes, 30.0% of the time") for text in texts)
    assert any("70.0% of the time" in text for text in texts)


def test_a_large_graph_stays_small():
    nodes = tuple(inside(f"n{n}", "Relu", f"n{n - 1}") for n in range(5000))
    picture = graph_picture(report([SegmentReport("s", nodes, (engine(),))], [native("p", "PyFunc", "n4999")]))
    assert len(picture) < 20000
    assert "and 4960 more" in picture


def test_a_report_without_nodes_is_a_picture_too():
    root = ElementTree.fromstring(graph_picture(report([], [])))
    assert "0 of 0 nodes (0.0%)" in "".join(root.itertext())
