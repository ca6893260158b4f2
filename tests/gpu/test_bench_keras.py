"""tf2trt bench on a GPU: a Keras file in every way and precision, in one run."""

import importlib.metadata
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from tf2trt.bench.options import BenchOptions
from tf2trt.bench.run import run_bench

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)
RELEASE = tuple(int(part) for part in importlib.metadata.version("tensorflow").split(".")[:2])
TF_TRT = ["tf-trt"] if RELEASE <= (2, 17) else []
QUICK = {"repeats": 2, "seconds": 0.1}

SAVE = """
import sys
import keras

keras.utils.set_random_seed(1)
layers = [keras.Input((32, 32, 3), name="x")]
for _ in range(3):
    layers += [keras.layers.Conv2D(16, 3, padding="same"), keras.layers.BatchNormalization(), keras.layers.ReLU()]
layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax", name="scores")]
keras.Sequential(layers).save(sys.argv[1])
"""


def own(row):
    """Why the row is void, but for the GPU's own doing."""
    return [reason for reason in row.void if not reason.startswith("throttled")]


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    done = subprocess.run([sys.executable, "-c", SAVE, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


def test_a_keras_file_in_every_way(keras_file):
    result = run_bench(
        BenchOptions(
            (str(keras_file),),
            batches=(1, 4),
            precisions=("tf32", "fp16"),
            backends=("native", *TF_TRT, "hybrid", "engine"),
            **QUICK,
        )
    )
    for facts in result.subjects:
        print(facts)
    assert [facts.error for facts in result.subjects] == [None] * len(result.subjects)
    assert {facts.kind for facts in result.subjects} == {"keras", "hybrid", "engine", *TF_TRT}
    for facts in result.subjects:
        if facts.kind in ("hybrid", "tf-trt"):
            assert facts.coverage > 0.5
            assert facts.engine_bytes > 0
        regimes = ("gpu", "serial", "pipelined") if facts.kind == "engine" else ("serial", "pipelined")
        cells = {(row.batch, row.regime) for row in result.rows if row.subject == facts.name}
        assert cells == {(batch, regime) for batch in (1, 4) for regime in regimes}
    assert [own(row) for row in result.rows] == [[]] * len(result.rows)


def test_int8_by_calibration_in_every_way(keras_file, tmp_path):
    samples = np.random.default_rng(0).normal(size=(64, 32, 32, 3)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=samples)
    result = run_bench(
        BenchOptions(
            (str(keras_file),),
            batches=(8,),
            precisions=("int8+fp16",),
            backends=(*TF_TRT, "hybrid", "engine"),
            regimes=("serial",),
            calib=str(tmp_path / "samples.npz"),
            **QUICK,
        )
    )
    assert [(facts.kind, facts.error) for facts in result.subjects] == [
        (kind, None) for kind in (*TF_TRT, "hybrid", "engine")
    ]
    assert [own(row) for row in result.rows] == [[]] * len(result.subjects)
