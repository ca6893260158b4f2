"""The smallest cut, which says where Transposes are to stand."""

from __future__ import annotations

from tf2trt.surgery.transpose_cut import Cut


def test_cut():
    """Two ways through the middle, each of 2; the cheaper cut takes the edges of 1."""
    cut = Cut()
    for tail, head, cost in [(Cut.A, 1, 5), (Cut.A, 2, 5), (1, 3, 1), (2, 3, 1), (3, Cut.B, 5), (1, 2, 9)]:
        cut.edge(tail, head, cost)
    assert cut.side_of_a() == {Cut.A, 1, 2}
    cut = Cut()
    cut.edge(Cut.A, "maker", 3)
    cut.edge("first", Cut.B, 4)
    cut.tie("maker", ["first", "second"], 2, "net")
    assert "maker" in cut.side_of_a()
    assert "first" not in cut.side_of_a()
