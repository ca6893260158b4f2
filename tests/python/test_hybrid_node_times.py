"""Seconds by node, on TensorFlow's own trace; without a GPU here."""

import numpy as np
import pytest

from tf2trt.errors import DeviceError, ModelError
from tf2trt.hybrid.node_times import _one_run, node_seconds

tf = pytest.importorskip("tensorflow")


def frozen(function, *specs):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = tf.function(function).get_concrete_function(*specs)
    return convert_variables_to_constants_v2(concrete, lower_control_flow=False)


@pytest.fixture(scope="module")
def control_flow():
    """A large product, a loop around a small one, and a branch with one in it."""
    large, small = (tf.random.stateless_normal(shape, [1, 2]) for shape in ([512, 1024], [1024, 8]))
    square = tf.random.stateless_normal([8, 8], [3, 4])

    def network(x):
        y = tf.matmul(tf.matmul(x, large, name="large"), small, name="small")

        def step(count, y):
            return count + 1, tf.tanh(tf.matmul(y, square, name="in_loop"))

        y = tf.while_loop(lambda count, y: count < 5, step, [0, y], name="loop")[1]
        return tf.cond(tf.reduce_sum(y) > 1e9, lambda: tf.matmul(y, square), lambda: y * 2)

    return frozen(network, tf.TensorSpec([None, 512]))


def test_nodes_have_times_those_in_bodies_too(control_flow):
    graph_def = control_flow.graph.as_graph_def()
    before = graph_def.SerializeToString(deterministic=True)
    feeds = {control_flow.inputs[0].name: np.ones([256, 512], np.float32)}
    times = node_seconds(graph_def, feeds, [control_flow.outputs[0].name], runs=3)
    assert graph_def.SerializeToString(deterministic=True) == before
    bodies = {
        (function.signature.name, node.name)
        for function in graph_def.library.function
        for node in function.node_def
        if node.op in ("MatMul", "Tanh")
    }
    main = {(None, node.name): node.op for node in graph_def.node}
    assert main.keys() & times.keys() >= {(None, "large"), (None, "small")}
    looped = {key for key in times if key in bodies and "loop" in key[1]}
    assert {name.rsplit("/", 1)[-1] for _, name in looped} == {"in_loop", "Tanh"}
    assert all(times[key] > 0 for key in looped)
    # 2 million multiply-adds against 128, so that no clock has to be good.
    assert times[None, "large"] > 3 * times[None, "Greater"]
    # Nothing of the loop's own parts is left over under a name that no node of the graph has.
    functions = {(f.signature.name, node.name) for f in graph_def.library.function for node in f.node_def}
    assert {key for key in times if key not in main and key not in functions} == set()


def test_a_table_is_handed_in():
    keys, values = tf.constant(["a", "b"]), tf.constant([1.0, 2.0])
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), 0.0)
    concrete = tf.function(lambda x: tf.sqrt(table.lookup(x))).get_concrete_function(tf.TensorSpec([None], tf.string))
    captures = {inner.op.name: outer for outer, inner in concrete.graph.captures}
    feeds, fetches = {concrete.inputs[0].name: np.array([b"a"] * 1000)}, [concrete.outputs[0].name]
    times = node_seconds(concrete.graph.as_graph_def(), feeds, fetches, captures, runs=2)
    by_op = {node.name: node.op for node in concrete.graph.as_graph_def().node}
    assert {"LookupTableFindV2", "Sqrt"} <= {by_op.get(name) for _, name in times}


def test_a_graph_that_does_not_run_says_so_and_settings_are_put_back():
    network = frozen(lambda x: tf.debugging.check_numerics(x, "bad"), tf.TensorSpec([None]))
    feeds = {network.inputs[0].name: np.array([np.nan], np.float32)}
    before = tf.config.optimizer.get_experimental_options()
    with pytest.raises(ModelError, match="cannot be measured"):
        node_seconds(network.graph.as_graph_def(), feeds, [network.outputs[0].name], runs=1)
    assert tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False) is before.get(
        "disable_meta_optimizer", False
    )


def plane(name, **lines):
    """A plane of TensorFlow's trace: lines of (name of the event, microseconds); on a GPU the node's name is a stat."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    made = xplane_pb2.XPlane(name=name)
    made.stat_metadata[1].name = "tf_op"
    for title, events in lines.items():
        line = made.lines.add(name=title.replace("_", " "))
        for text, micros in events:
            number = len(made.event_metadata) + 1
            made.event_metadata[number].name = "a_kernel" if "GPU" in name else text
            event = line.events.add(metadata_id=number, duration_ps=micros * 1000000)
            if "GPU" in name:
                event.stats.add(metadata_id=1, str_value=text)
    return made


def test_a_gpu_counts_kernels_and_not_their_launch():
    host = plane(
        "/host:CPU",
        tf_Compute=[("conv:Conv2D", 10), ("lookup:LookupTableFindV2", 7), ("FunctionRun", 99), ("Pool::Run", 99)],
    )
    ops = [("conv:Conv2D", 500)]
    device = plane("/device:GPU:0", Stream_13=[("conv:Conv2D", 400), ("conv:Conv2D", 100), ("", 9)], TensorFlow_Ops=ops)
    expected = {(None, "conv"): 500e-6, (None, "lookup"): 7e-6}
    assert dict(_one_run([host, device], {}, True)) == pytest.approx(expected)
    with pytest.raises(DeviceError, match="libcupti"):
        dict(_one_run([host], {}, True))
