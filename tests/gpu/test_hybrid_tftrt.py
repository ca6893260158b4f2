"""Backend tf-trt on a real TensorFlow with TF-TRT (2.17), each conversion in a process of its own.

TensorFlow reads its log level and takes its memory once in a process, and keeps engines by name until it ends.
"""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys

import pytest

HAS_TF_TRT = importlib.util.find_spec("tensorflow") is not None and tuple(
    int(part) for part in importlib.metadata.version("tensorflow").split(".")[:2]
) <= (2, 17)
pytestmark = pytest.mark.skipif(not HAS_TF_TRT, reason="needs TensorFlow 2.17, the last with TF-TRT")

START = """
import json, sys
import numpy as np
from tf2trt import hybrid
from tf2trt.errors import Tf2TrtError
from tf2trt.hybrid.tftrt_log import import_with_warnings
tf = import_with_warnings()
tf.config.experimental.enable_tensor_float_32_execution(False)  # in either: two roundings are two answers
source, out = sys.argv[1:]
seed = int(np.random.SeedSequence().entropy % 2**32)
print("seed", seed, file=sys.stderr)
rng = np.random.default_rng(seed)

def batch(size):
    return rng.normal(size=(size, 32, 32, 3)).astype(np.float32)

def error(x):
    values = []
    for folder in (out, source):
        loaded = tf.saved_model.load(folder)
        values.append(loaded.signatures["serving_default"](x=tf.constant(x))["y"].numpy())
    return float(np.linalg.norm(values[0] - values[1]) / np.linalg.norm(values[1]))

def tell(report, **more):
    print(json.dumps({**report.to_json(), **more}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Three convolutions, an operator that TensorRT does not take (Bincount of the largest channel), two more."""
    path = tmp_path_factory.mktemp("model") / "saved"
    code = """
import sys
import numpy as np
import tensorflow as tf

class Model(tf.Module):
    def __init__(self):
        rng = np.random.default_rng(1)
        shapes = [(3, 3, 3, 16), (3, 3, 16, 16), (3, 3, 16, 16), (3, 3, 16, 16), (3, 3, 16, 8)]
        self.kernels = [tf.Variable((rng.normal(size=s) / np.sqrt(9 * s[2])).astype(np.float32)) for s in shapes]

    @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.float32, name="x")])
    def __call__(self, x):
        for kernel in self.kernels[:3]:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")) + 0.1
        most = tf.reshape(tf.argmax(x, axis=-1, output_type=tf.int32), [-1])
        share = tf.cast(tf.math.bincount(most, minlength=16, maxlength=16), tf.float32)
        x = x * (1.0 + share / tf.reduce_sum(share))
        for kernel in self.kernels[3:]:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME")) + 0.1
        return {"y": tf.reduce_mean(x, axis=[1, 2])}

made = Model()
tf.saved_model.save(made, sys.argv[1], signatures=made.__call__)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=300)
    return path


@pytest.fixture
def run(model, tmp_path):
    """run(code, **environment): what ``code`` printed last, as JSON."""

    def call(code, **environment):
        done = subprocess.run(
            [sys.executable, "-c", START + code, str(model), str(tmp_path / "out")],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return call


@pytest.mark.parametrize(("mode", "tolerance"), [("FP32", 1e-3), ("FP16", 2e-2)])
def test_engines_are_built_counted_and_right(run, mode, tolerance):
    report = run(
        f"""
report = hybrid.convert(source, out, backend="tf-trt", precision_mode="{mode}", maximum_cached_engines=4,
                        input_fn=lambda: ([batch(size)] for size in (1, 8, 4)))
tell(report, errors=[error(batch(size)) for size in (1, 4, 8)])
"""
    )
    built = [segment for segment in report["segments"] if segment["built"]]
    assert built
    for segment in built:
        # batch 4 runs in the engine for batch 8
        assert len(segment["engines"]) == 2
        assert all(engine["seconds"] > 0 for engine in segment["engines"])
    assert any("Bincount" in node["op"] and node["reason"] for node in report["native"])
    assert not [note for note in report["notes"] if "TF_CPP_MIN_LOG_LEVEL" in note]
    assert max(report["errors"]) < tolerance


def test_one_engine_for_a_range_of_shapes(run):
    report = run(
        """
report = hybrid.convert(source, out, backend="tf-trt", precision_mode="FP16", use_dynamic_shape=True,
                        input_fn=lambda: ([batch(size)] for size in (1, 8, 4)))
tell(report, errors=[error(batch(size)) for size in (1, 3, 8)])
"""
    )
    assert [len(segment["engines"]) for segment in report["segments"] if segment["built"]]
    assert max(report["errors"]) < 2e-2


def test_builds_that_fail_are_counted_with_tf_trt_s_reason_and_the_answers_stay_right(run):
    report = run(
        """
report = hybrid.convert(source, out, backend="tf-trt", input_fn=lambda: ([batch(size)] for size in (1, 8)))
tell(report, errors=[error(batch(8))])
""",
        TF_TRT_ABORT_CUDA_ENGINE_BUILD="True",
    )
    assert report["coverage"]["converted"] == 0
    for segment in report["segments"]:
        assert [engine for engine in segment["engines"] if engine.get("reason")]
    assert any("logged no reason" not in reason for reason in report["native_reasons"])
    assert max(report["errors"]) < 1e-3


def test_strict_raises_and_leaves_nothing(run, tmp_path):
    said = run(
        """
try:
    hybrid.convert(source, out, backend="tf-trt", input_fn=lambda: [[batch(8)]], strict=0.5)
except Tf2TrtError as error:
    print(json.dumps([type(error).__name__, str(error)]))
""",
        TF_TRT_ABORT_CUDA_ENGINE_BUILD="True",
    )
    assert said[0] == "CoverageError"
    assert list(tmp_path.iterdir()) == []


def test_int8_is_calibrated_and_batches_of_another_shape_do_not_end_the_process(run):
    report = run(
        """
try:
    hybrid.convert(source, out, backend="tf-trt", precision_mode="INT8",
                   calibration_input_fn=lambda: ([batch(size)] for size in (8, 8, 3)))
except Tf2TrtError as refused:
    first = type(refused).__name__
report = hybrid.convert(source, out, backend="tf-trt", precision_mode="INT8",
                        calibration_input_fn=lambda: ([batch(8)] for _ in range(4)))
tell(report, first=first, errors=[error(batch(8))])
"""
    )
    assert report["first"] == "InputError"
    assert [segment for segment in report["segments"] if segment["built"]]
    assert max(report["errors"]) < 0.1


def test_a_workspace_above_tensorflow_s_memory_limit_is_refused(run):
    said = run(
        """
gpu = tf.config.list_physical_devices("GPU")[0]
tf.config.set_logical_device_configuration(gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=1024)])
try:
    hybrid.convert(source, out, backend="tf-trt", max_workspace_size_bytes=1 << 30)
except Tf2TrtError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    )
    assert said[0] == "UsageError"
    assert "memory_limit" in said[1]


def test_a_script_written_for_tf_trt(run):
    report = run(
        """
params = hybrid.DEFAULT_TRT_CONVERSION_PARAMS._replace(precision_mode=hybrid.TrtPrecisionMode.FP16)
converter = hybrid.TrtGraphConverterV2(input_saved_model_dir=source, conversion_params=params, backend="tf-trt")
converter.convert()
converter.build(input_fn=lambda: iter([[batch(8)]]))
report = converter.save(out)
converter.summary()
tell(report, errors=[error(batch(8))])
"""
    )
    assert [segment for segment in report["segments"] if segment["built"]]
    assert max(report["errors"]) < 2e-2
