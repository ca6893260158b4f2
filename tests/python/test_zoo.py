"""The table of networks: what it covers, and that a failure in it is seen."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
FAMILIES = {
    "ConvNeXt", "DenseNet", "EfficientNetB", "EfficientNetV2", "InceptionResNetV2", "InceptionV3", "MobileNet",
    "MobileNetV2", "MobileNetV3", "NASNet", "RegNetX", "RegNetY", "ResNet", "ResNetV2", "ResNetRS", "VGG", "Xception",
}  # fmt: skip
OTHERS = {
    "LSTM",
    "GRU",
    "bidirectional",
    "multi-head attention",
    "embedding and pooling",
    "U-Net",
    "several inputs and outputs",
    "shared layers",
    "subclassed",
    "resize, depthwise, einsum",
    "box3d",
}

# Stands beside a copy of zoo.py in place of the real zoo_models.py.
BAD_MODELS = """
import os
from typing import NamedTuple
import numpy as np
from tf2trt.export.quiet import import_tensorflow

class Network(NamedTuple):
    name: str
    package: str

class Subject(NamedTuple):
    model: object
    arrays: list
    inputs: object = None

NETWORKS = (Network("raises", "keras"), Network("dies", "keras"), Network("random", "tensorflow"))

def make(network):
    if network.name == "raises":
        raise ValueError("no such layer\\n  received: 3")
    if network.name == "dies":
        os.abort()
    tf = import_tensorflow()
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def noisy(x):
        return x + tf.random.normal(tf.shape(x))
    return Subject(noisy, [np.ones((2, 4), np.float32)])
"""


@pytest.fixture(scope="module")
def zoo():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("zoo")
        for name in ("zoo", "zoo_models"):
            sys.modules.pop(name, None)


def family(name):
    """``ResNet101V2`` as ResNetV2, ``EfficientNetB7`` as EfficientNetB: sizes and depths left out."""
    stem = re.sub(r"^(ResNet|DenseNet|VGG)\d+", r"\1", name)
    return max((item for item in FAMILIES if stem.startswith(item)), key=len, default=None)


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_every_family_of_keras_applications_is_there(zoo):
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    import keras
    import tf_keras

    known = {
        name
        for package in (keras, tf_keras)
        for name, item in vars(package.applications).items()
        if name[0].isupper() and callable(item)
    }
    chosen = {network.name for network in zoo.zoo_models.NETWORKS} & known
    assert len(chosen) >= 30
    assert {family(name) for name in known} == FAMILIES  # None would be a family that came since
    assert {family(name) for name in chosen} == FAMILIES


def test_the_other_kinds_are_there_and_no_name_twice(zoo):
    names = [network.name for network in zoo.zoo_models.NETWORKS]
    assert set(names) >= OTHERS
    assert len(names) == len(set(names))


def test_the_kept_table_has_a_row_for_each_network(zoo):
    lines = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ")[0].lstrip("| ") for line in lines if line.startswith("| ")]
    assert rows[2:] == [network.name for network in zoo.zoo_models.NETWORKS]


def test_the_command_writes_a_table(tmp_path):
    result = run(
        BENCHMARKS / "zoo.py", "--only", "several inputs and outputs", "--only", "embedding and pooling",
        "--markdown", tmp_path / "t.md", "--json", tmp_path / "t.json",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "t.json").read_text())
    assert {"Python", "tensorflow", "keras", "tf2onnx", "onnxruntime"} < set(report["versions"])  # and a TensorRT
    assert [row["network"] for row in report["rows"]] == ["embedding and pooling", "several inputs and outputs"]
    for row in report["rows"]:
        assert 0 < row["rel_error"] < 1e-4
        assert row["nodes_before"] >= row["nodes_after"] > 0
        assert row["peak_mib"] > 100
        assert "failed" not in row
    text = (tmp_path / "t.md").read_text()
    assert report["date"] in text
    assert report["versions"]["tensorflow"] in text
    assert "| several inputs and outputs | keras |" in text
    assert "embedding and pooling" in result.stdout


def test_a_network_that_fails_is_a_row_with_its_reason_and_the_status(tmp_path):
    (tmp_path / "zoo.py").write_text((BENCHMARKS / "zoo.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "zoo_models.py").write_text(BAD_MODELS, encoding="utf-8")
    files = ("--markdown", tmp_path / "t.md", "--json", tmp_path / "t.json")
    result = run(tmp_path / "zoo.py", "--only", "raises", "--only", "dies", "--only", "random", *files)
    assert result.returncode == 1, result.stdout + result.stderr
    raises, dies, noisy = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert raises["failed"] == "ValueError: no such layer; received: 3"
    assert dies["failed"] == "killed by signal 6"
    assert noisy["failed"].startswith("relative error ")
    text = (tmp_path / "t.md").read_text()
    assert "3 networks: 0 under a relative error" in text
    assert "- dies failed: killed by signal 6" in text


def test_refused_nodes_are_named_and_no_failure(zoo):
    node = {"name": "m/top", "op": "TopK", "origin": "layer top", "reason": "K is not constant"}
    row = {
        "network": "m",
        "package": "keras",
        "nodes_before": 9,
        "nodes_after": 7,
        "transposes": 1,
        "rel_error": 1e-6,
        "export_seconds": 1.0,
        "surgery_seconds": 0.1,
        "peak_mib": 900,
        "whole": False,
        "refused": [node, {**node, "name": "m/top_2"}],
    }
    text = zoo.document({"date": "2026-01-01", "versions": {"onnx": "1"}, "rows": [row]})
    assert "| m | keras | 9 | 7 | 1 | 1.0e-06 | 1.0 | 0.1 | 900 | refuses 2 TopK |" in text
    assert "- m: TopK m/top (from layer top): K is not constant" in text
    assert "1 under a relative error of 1e-04, 0 taken whole" in text


def test_an_unknown_network_is_wrong_usage():
    result = run(BENCHMARKS / "zoo.py", "--only", "ResNet51")
    assert result.returncode == 2
    assert "ResNet51" in result.stderr


def test_no_part_of_a_network_is_dead(zoo):
    """Batch norms have the images' statistics, and a branch that starts shut is open."""
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = layers.BatchNormalization(gamma_initializer="zeros", name="last")(layers.Conv2D(4, 3, name="convolution")(x))
    model = keras.Model(x, y)
    images = 5 + 2 * np.random.default_rng(0).standard_normal((4, 8, 8, 3), np.float32)
    zoo.zoo_models.enliven(keras, model, images)
    result = np.asarray(model(images, training=False))
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), 0, atol=1e-2)
    np.testing.assert_allclose(result.std(axis=(0, 1, 2)), zoo.zoo_models.BRANCH_SCALE, atol=1e-2)


def test_peak_memory_is_this_processs(zoo):
    assert 50 < zoo.peak_mib() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
