"""Subjects in TensorFlow: a fallback and a build that happen while timed void their rows; TensorFlow's own trace."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys

import pytest

from tf2trt.bench.options import BenchOptions
from tf2trt.bench.run import run_bench

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)
RELEASE = tuple(int(part) for part in importlib.metadata.version("tensorflow").split(".")[:2])
BACKENDS = ["tf2trt", *(["tf-trt"] if RELEASE <= (2, 17) else [])]

SAVE = """
import sys
import numpy as np
import tensorflow as tf

class Model(tf.Module):
    def __init__(self):
        rng = np.random.default_rng(1)
        self.kernels = [
            tf.Variable((rng.normal(size=(3, 3, before, 16)) / np.sqrt(9 * before)).astype(np.float32))
            for before in (3, 16, 16)
        ]

    @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.float32, name="x")])
    def __call__(self, x):
        for kernel in self.kernels:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")) + 0.1
        return {"y": tf.reduce_mean(x, axis=[1, 2])}

made = Model()
tf.saved_model.save(made, sys.argv[1], signatures=made.__call__)
"""

CONVERT = """
import sys
import numpy as np
from tf2trt import hybrid

source, out, backend, build = sys.argv[1:]
hybrid.convert(
    source,
    out,
    backend=backend,
    precision_mode="FP32",
    maximum_cached_engines=1,
    allow_build_at_runtime=build == "True",
    input_fn=lambda: [[np.ones((1, 32, 32, 3), np.float32)]],
)
"""


def python(code, *arguments):
    """In a process of its own: TensorFlow keeps the GPU's memory until its process ends."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "saved"
    python(SAVE, path)
    return path


def converted(model, folder, backend, build):
    """The model with engines for batches of 1; one engine is kept."""
    out = folder / f"{backend}.saved"
    python(CONVERT, model, out, backend, build)
    return out


def bench(path, **options):
    given = {"regimes": ("serial",), "repeats": 2, "seconds": 0.2, "backends": ("native",), **options}
    return run_bench(BenchOptions(subjects=(str(path),), **given))


def own(row):
    """Why the row is void, but for the GPU's own doing."""
    return [reason for reason in row.void if not reason.startswith("throttled")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_that_no_engine_takes_is_a_fallback(model, tmp_path, backend):
    result = bench(converted(model, tmp_path, backend, False), batches=(1, 2))
    assert [facts.error for facts in result.subjects] == [None]
    void = {row.batch: own(row) for row in result.rows}
    print(void)
    assert void[1] == []
    assert len(void[2]) == 1
    assert void[2][0].startswith("fallback: ")


def test_an_engine_that_is_built_while_timed(model, tmp_path):
    """Room for one engine beside the conversion's, which is for batches of 1: in turns the batches of 2 and 4 throw out
    each other's and build their own.

    Not so with TF-TRT, where an engine serves smaller batches too.
    """
    result = bench(converted(model, tmp_path, "tf2trt", True), batches=(1, 2, 4), repeats=1)
    assert [facts.error for facts in result.subjects] == [None]
    reasons = [reason for row in result.rows for reason in row.void]
    print(reasons)
    assert any(reason.startswith("build: ") for reason in reasons)


def test_tensorflows_own_trace(model, tmp_path):
    file = tmp_path / "trace.json"
    result = bench(model, repeats=1, trace=str(file))
    assert [(row.regime, own(row)) for row in result.rows] == [("serial", [])]
    assert not [note for note in result.environment["notes"] if "trace" in note]
    events = [each for each in json.loads(file.read_bytes())["traceEvents"] if each["ph"] == "X"]
    assert {"call", "tensorflow", "kernel"} <= {each["cat"] for each in events}
