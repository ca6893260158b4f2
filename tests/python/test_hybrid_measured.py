"""Measured times in the report of a cut model: the main graph, bodies of loops, tables, and what cannot be measured."""

from itertools import chain

import numpy as np
import pytest

from tf2trt.errors import UsageError
from tf2trt.hybrid.cut import CutBody
from tf2trt.hybrid.frozen import freeze_saved_model
from tf2trt.hybrid.measured import with_measured_times
from tf2trt.hybrid.report import EngineReport, HybridReport, NodeReport, SegmentReport

tf = pytest.importorskip("tensorflow")


class Model(tf.Module):
    """A large product, a table, and a loop around a product."""

    def __init__(self):
        super().__init__()
        self.large = tf.Variable(tf.random.stateless_normal([512, 512], [1, 2]))
        pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([1.0, 2.0]))
        self.table = tf.lookup.StaticHashTable(pairs, 0.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 512], tf.float32, "x"), tf.TensorSpec([None], tf.string, "s")])
    def __call__(self, x, s):
        y = tf.matmul(x, self.large) * self.table.lookup(s)[:, None]

        def step(count, y):
            return count + 1, tf.tanh(tf.matmul(y, self.large))

        return {"y": tf.while_loop(lambda count, y: count < 3, step, [0, y])[1]}


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    model = Model()
    path = tmp_path_factory.mktemp("measured") / "model"
    tf.saved_model.save(model, str(path), signatures=model.__call__)
    return freeze_saved_model(path)


def uncut(body, count=0):
    """The graph and its functions without segments."""
    callees = [(call, uncut(body.callee(call, f"{call.function}_{count}"))) for call in body.calls()]
    return CutBody(body, [], {}, callees)


def report_on(cut_body):
    """All products in a segment, all else native."""
    nodes = list(
        chain.from_iterable(
            (
                NodeReport(node.name, node.op, (), "left", None, each.body.name or None)
                for node in each.body.graph_def.node
            )
            for each in cut_body.all()
        )
    )
    segment = SegmentReport("s", tuple(node for node in nodes if node.op == "MatMul"), (EngineReport({}, "s.engine"),))
    rest = tuple(node for node in nodes if node.op != "MatMul")
    return HybridReport("tf2trt", "FP32", {}, (segment,), rest)


BATCH = {"x": np.ones([256, 512], np.float32), "s": np.array(["a"] * 256)}


def test_times_reach_the_nodes_of_bodies_too(frozen):
    cut_body = uncut(frozen.body)
    report = with_measured_times(report_on(cut_body), frozen, cut_body, BATCH, runs=3)
    products = {node.function: node.seconds for node in report.segments[0].nodes}
    assert report.notes == ()
    assert len(products) == 2
    assert all(seconds > 0 for seconds in products.values())
    lookup = next(node for node in report.native if node.op == "LookupTableFindV2")
    assert lookup.seconds > 0
    # 0.27 GFLOP in four products, against the lookup of 256 words and a few numbers a sample.
    assert report.coverage.time_share > 0.5
    assert report.notes == ()
    as_list = with_measured_times(
        report_on(cut_body), frozen, cut_body, [BATCH[spec.name] for spec in frozen.inputs], 1
    )
    assert as_list.coverage.time_share > 0.3


def test_a_function_that_two_nodes_run_counts_once(frozen):
    once = uncut(frozen.body)
    (first,) = once.callees
    twice = CutBody(once.body, [], {}, [first, (first[0], uncut(frozen.body.callee(first[0], "again")))])
    report = with_measured_times(report_on(twice), frozen, twice, BATCH, runs=1)
    times = [node.seconds for node in report.segments[0].nodes if node.function is not None]
    assert len(times) == 2
    assert times[0] == times[1] > 0


def test_what_cannot_be_measured_is_a_note(frozen):
    cut_body = uncut(frozen.body)
    before = report_on(cut_body)
    # The product takes 512 columns.
    report = with_measured_times(before, frozen, cut_body, {**BATCH, "x": np.ones([256, 7], np.float32)})
    assert report.coverage == before.coverage
    (note,) = report.notes
    assert note.startswith("Times of the nodes: the nodes' times cannot be measured")


def test_a_batch_that_does_not_fit_is_refused(frozen):
    cut_body = uncut(frozen.body)
    with pytest.raises(UsageError, match="input_fn"):
        with_measured_times(report_on(cut_body), frozen, cut_body, {"x": BATCH["x"]})
