"""Segmentation, on random graphs and on small ones whose answer is known."""

from __future__ import annotations

import random

import pytest

from tf2trt.errors import UsageError
from tf2trt.hybrid import segments
from tf2trt.hybrid.graph import Node, topological_order
from tf2trt.hybrid.segments import find_segments


def random_graph(rng, size, edges, controls, share):
    """A DAG with shuffled node order, and the names of those of its nodes that are supported."""
    names = [f"n{index}" for index in range(size)]
    nodes = []
    for index, name in enumerate(names):
        reach = min(index, rng.choice([3, 10, size]))
        pool = names[index - reach : index]
        inputs = rng.sample(pool, min(len(pool), rng.randint(0, edges)))
        held = rng.sample(pool, min(len(pool), 1)) if rng.random() < controls else []
        nodes.append(Node(name, tuple(inputs), tuple(held)))
    rng.shuffle(nodes)
    return nodes, {name for name in names if rng.random() < share}


def edges_of(nodes):
    return {(source, node.name) for node in nodes for source in (*node.inputs, *node.controls)}


def quotient(nodes, groups):
    """The graph in which each group is one node, the first of it."""
    stands = {name: group[0] for group in groups for name in group}
    edges = {(stands.get(a, a), stands.get(b, b)) for a, b in edges_of(nodes)}
    names = {stands.get(node.name, node.name) for node in nodes}
    return [Node(name, tuple(a for a, b in edges if b == name and a != name)) for name in names]


def has_cycle(nodes):
    try:
        topological_order(nodes)
    except UsageError:
        return True
    return False


def descendants(nodes, start):
    after = {}
    for a, b in edges_of(nodes):
        after.setdefault(a, set()).add(b)
    found, waiting = set(), list(start)
    while waiting:
        for name in after.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def connected(nodes, group):
    pairs = [(a, b) for a, b in edges_of(nodes) if a in group and b in group]
    found = {next(iter(group))}
    while True:
        more = {b for a, b in pairs if a in found} | {a for a, b in pairs if b in found}
        if more <= found:
            return found == set(group)
        found |= more


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed):
    rng = random.Random(seed)
    nodes, supported = random_graph(rng, rng.randint(1, 60), rng.randint(1, 4), rng.random() / 2, rng.random())
    groups = [segment.nodes for segment in find_segments(nodes, supported, 1)]

    # Every supported node is in one segment, and no other node is.
    assert sorted(name for group in groups for name in group) == sorted(supported)
    place = {name: index for index, name in enumerate(topological_order(nodes))}
    for group in groups:
        members = set(group)
        assert list(group) == sorted(group, key=place.__getitem__)
        assert connected(nodes, members)
        # Convex: nothing outside is both behind and before the segment.
        outside = descendants(nodes, members) - members
        assert not descendants(nodes, outside) & members
    assert not has_cycle(quotient(nodes, groups))
    # As large as can be: any two neighbours made one would make a cycle.
    group_of = {name: group for group in groups for name in group}
    for a, b in edges_of(nodes):
        one, other = group_of.get(a), group_of.get(b)
        if one and other and one != other:
            rest = [group for group in groups if group not in (one, other)]
            assert has_cycle(quotient(nodes, [*rest, one + other])), (one, other)


@pytest.mark.parametrize("minimum", [2, 5])
def test_small_segments_are_left_native(minimum):
    nodes, supported = random_graph(random.Random(minimum), 80, 2, 0.1, 0.7)
    everything = find_segments(nodes, supported, 1)
    kept = find_segments(nodes, supported, minimum)
    assert kept == [segment for segment in everything if len(segment.nodes) >= minimum]
    assert 0 < len(kept) < len(everything)


def chain(text):
    """``"a b<a c<b,^a"``: nodes with what they read; a caret marks a control edge."""
    nodes = []
    for word in text.split():
        name, _, sources = word.partition("<")
        names = [source for source in sources.split(",") if source]
        controls = tuple(source[1:] for source in names if source.startswith("^"))
        nodes.append(Node(name, tuple(source for source in names if not source.startswith("^")), controls))
    return nodes


def groups_of(text, supported, minimum=1):
    return [set(segment.nodes) for segment in find_segments(chain(text), set(supported), minimum)]


def test_a_way_round_an_unsupported_node_divides():
    assert groups_of("a b<a X<b c<b,X d<c", "abcd") == [{"a", "b"}, {"c", "d"}]


def test_a_control_edge_divides_like_any_other():
    assert groups_of("a X<^a b<a,^X", "ab") == [{"a"}, {"b"}]
    assert groups_of("a b<^a", "ab") == [{"a", "b"}]


def test_two_pieces_that_would_wait_for_each_other():
    # a and d as one piece, b and c as another, are each convex, and no order is there for them.
    found = groups_of("a b X<a c<X,b Y<b d<Y,a", "abcd")
    assert {"a", "d"} not in found or {"b", "c"} not in found
    assert sorted(name for group in found for name in group) == list("abcd")


def test_a_branch_that_starts_late_joins_what_it_leads_to():
    assert groups_of("a X<a b<X c d<c e<d,b", "abcde") == [{"a"}, {"b", "c", "d", "e"}]


def test_the_larger_piece_gets_a_node_that_two_could_have():
    # `s` could go with `big1..3` or with `late`, but not with both: an unsupported node is between those.
    text = "in X<in big1<X big2<big1 big3<big2,s s Y<big3 late<Y,s"
    assert groups_of(text, ["big1", "big2", "big3", "s", "late"], 2) == [{"big1", "big2", "big3", "s"}]


def test_bad_graphs_are_refused():
    with pytest.raises(UsageError, match="cycle"):
        find_segments(chain("a<b b<a"), {"a"}, 1)
    with pytest.raises(UsageError, match="names of their own"):
        find_segments(chain("a a"), {"a"}, 1)
    with pytest.raises(UsageError, match="minimum"):
        find_segments(chain("a"), {"a"}, 0)


def test_five_thousand_nodes(monkeypatch):
    """Merging looks at the stretch between two pieces, not at the whole graph: the nodes looked at are counted."""
    nodes, supported = random_graph(random.Random(5), 5000, 2, 0.05, 0.9)
    looked = []
    reached_before = segments._Pieces._reached_before

    def counted(self, first, second):
        found = reached_before(self, first, second)
        looked.append(len(found or ()))
        return found

    monkeypatch.setattr(segments._Pieces, "_reached_before", counted)
    found = find_segments(nodes, supported, 3)
    assert sum(len(segment.nodes) for segment in found) > 3000
    assert 0 < len(looked) < 2 * len(nodes)
    assert sum(looked) < 20 * len(nodes)
