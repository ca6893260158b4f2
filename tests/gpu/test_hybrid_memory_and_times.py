"""TensorFlow's memory and its nodes' times on a real GPU, each in a process of its own: memory is set once."""

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")


def run(code):
    environment = {name: value for name, value in os.environ.items() if name != "TF_FORCE_GPU_ALLOW_GROWTH"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_limit_holds():
    out = run(
        """
from tf2trt.hybrid.memory import prepare_memory
plan = prepare_memory(1 << 30, 256 << 20)
assert plan.devices and plan.memory.available <= plan.memory.total, plan
import tensorflow as tf
with tf.device("GPU:0"):
    kept = tf.zeros([64 << 20])  # 256 MiB
    try:
        print(tf.zeros([512 << 20]).shape)  # 2 GiB
    except tf.errors.ResourceExhaustedError:
        print("refused")
"""
    )
    assert out.split()[-1] == "refused"


def test_growth_takes_what_is_needed():
    run(
        """
from tf2trt import _native
from tf2trt.hybrid.memory import prepare_memory
prepare_memory()
before = _native.available_memory()
import tensorflow as tf
with tf.device("GPU:0"):
    kept = tf.reduce_sum(tf.zeros([64 << 20]))
kept.numpy()
taken = before - _native.available_memory()
assert taken < before // 4, (taken, before)  # left alone, TensorFlow takes nearly all
"""
    )


@pytest.mark.parametrize("limit", ["128 << 20", "None"])  # TensorFlow has left little more than 1 GiB
def test_too_late_says_so(limit):
    out = run(
        f"""
import tensorflow as tf
tf.zeros([2]).numpy()
from tf2trt.errors import UsageError
from tf2trt.hybrid.memory import prepare_memory
try:
    prepare_memory({limit})
except UsageError as error:
    print(error)
"""
    )
    assert "cannot be set any more" in out


def test_a_limit_above_what_is_left_is_refused():
    out = run(
        """
from tf2trt import _native
from tf2trt.errors import UsageError
from tf2trt.hybrid.memory import prepare_memory
try:
    prepare_memory(_native.device().total_memory)
except UsageError as error:
    print(error)
"""
    )
    assert "--memory-limit" in out


def test_nodes_have_their_kernels_times():
    out = run(
        """
import numpy as np
from tf2trt.hybrid.memory import prepare_memory
prepare_memory()
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tf2trt.hybrid.node_times import node_seconds

large = tf.random.normal([4096, 4096])
network = tf.function(lambda x: tf.tanh(tf.matmul(x, large, name="large"), name="small"))
frozen = convert_variables_to_constants_v2(network.get_concrete_function(tf.TensorSpec([4096, 4096])))
feeds = {frozen.inputs[0].name: np.ones([4096, 4096], np.float32)}
times = node_seconds(frozen.graph.as_graph_def(), feeds, [frozen.outputs[0].name])
print(times[None, "large"], times[None, "small"])
"""
    )
    large, small = map(float, out.split()[-2:])
    # 137 GFLOP: between a card's 1 and 1,000 TFLOP/s; a launch alone would be some microseconds.
    assert 1e-4 < large < 0.2
    assert 0 < small < large


def test_a_conversion_reports_the_share_of_the_time():
    out = run(
        """
import tempfile
import numpy as np
from tf2trt.hybrid.memory import prepare_memory
prepare_memory()
import tensorflow as tf
from tf2trt.hybrid import convert

module = tf.Module()
module.weights = tf.Variable(tf.random.normal([1024, 1024]))

def network(x, s):
    y = tf.tanh(tf.nn.relu(tf.matmul(x, module.weights)) * 0.5)
    return {"y": y * tf.strings.to_number(s)[:, None]}

specs = [tf.TensorSpec([None, 1024], name="x"), tf.TensorSpec([None], tf.string, name="s")]
module.call = tf.function(network, input_signature=specs)
with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(module, folder + "/model", signatures=module.call)
    batch = {"x": np.ones([256, 1024], np.float32), "s": np.array(["1"] * 256)}
    report = convert(folder + "/model", folder + "/out", input_fn=lambda: [batch])
assert not report.notes, report.notes
print(report.coverage.time_share)
"""
    )
    assert 0 < float(out.split()[-1]) < 1
