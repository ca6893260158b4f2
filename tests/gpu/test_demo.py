"""The demo's second half on the GPU, and ``tf2trt run`` on its engine.

TF2TRT_DEMO (default demo-out) names the folder of an earlier ``tf2trt demo``, perhaps copied from another machine:
digits.onnx, heldout.npz and keras.json. Where it holds none, the model is trained here.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tf2trt.demo import run_demo
from tf2trt.demo.artifacts import Artifacts
from tf2trt.sidecar import Sidecar, sidecar_path

NEEDED = ("digits.onnx", "heldout.npz", "keras.json")
MARGINS = {"fp32": 0.003, "fp16": 0.006}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder and the report."""
    folder = tmp_path_factory.mktemp("demo")
    earlier = Path(os.environ.get("TF2TRT_DEMO", "demo-out"))
    reuse = all((earlier / name).is_file() for name in NEEDED)
    if "TF2TRT_DEMO" in os.environ:
        assert reuse, f"TF2TRT_DEMO: {earlier} does not hold {', '.join(NEEDED)}"
    for name in NEEDED if reuse else ():
        (folder / name).write_bytes((earlier / name).read_bytes())
    return folder, run_demo(folder, reuse=reuse)


@pytest.mark.parametrize("precision", sorted(MARGINS))
def test_accuracy_over_every_held_out_image(demo, precision):
    _, report = demo
    run = report["runs"][precision]
    assert run["images"] == 360
    assert abs(run["accuracy"] - report["keras_accuracy"]) <= MARGINS[precision]
    assert abs(run["batch_accuracy"] - report["keras_accuracy"]) <= MARGINS[precision]
    assert run["max_rel_error"] < (1e-4 if precision == "fp32" else 2e-2)


def test_latency_is_reported_beside_keras(demo):
    _, report = demo
    for run in report["runs"].values():
        assert 0 < run["gpu_latency"]["p50_ms"] < run["latency"]["p50_ms"] <= run["latency"]["p99_ms"]
    assert report["keras_latency"]["p50_ms"] > 0
    assert report["not_run"] == []
    print(report["summary"])


@pytest.fixture
def images(demo, tmp_path):
    data = Artifacts(demo[0]).read_heldout()
    path = tmp_path / "images.npy"
    np.save(path, data["images"][:8])
    return path, data


def test_run_on_a_file(demo, images, cli, tmp_path):
    path, data = images
    engine = Artifacts(demo[0]).engine("fp32")
    for given in (str(path), f"image={path}"):
        result = cli("run", engine, "--input", given, "--output", tmp_path, "--json")
        assert result.status == 0, result.err
        value = json.loads(result.out)
        assert {output["name"] for output in value["outputs"]} == {"scores", "embedding"}
        assert value["latency"]["p99_ms"] >= value["latency"]["p50_ms"] > 0
        np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), data["scores"][:8], atol=1e-4)


def test_run_on_random_inputs(demo, cli):
    result = cli("run", Artifacts(demo[0]).engine("fp16"), "--random", "--batch", "4")
    assert result.status == 0, result.err
    assert "4x10" in result.out
    assert "p50" in result.out


@pytest.mark.parametrize(
    ("array", "given", "words"),
    [
        (np.zeros((1, 8, 8, 1), np.float32), "picture={}", "no input 'picture'"),
        (np.zeros((1, 8, 9, 1), np.float32), "{}", "wrong shape"),
        (np.zeros((65, 8, 8, 1), np.float32), "{}", "outside the shapes"),
        (np.zeros((1, 8, 8, 1), np.float64), "{}", "wrong dtype"),
        (None, "{}", "cannot read"),
    ],
)
def test_wrong_inputs_are_status_2(demo, cli, tmp_path, array, given, words):
    path = tmp_path / "x.npy"
    if array is None:
        path.write_text("no array")
    else:
        np.save(path, array)
    result = cli("run", Artifacts(demo[0]).engine("fp32"), "--input", given.format(path))
    assert (result.status, result.out) == (2, "")
    assert words in result.err
    assert "Traceback" not in result.err


def test_an_engine_of_another_gpu_is_status_1(demo, cli, tmp_path):
    source, copy = Artifacts(demo[0]).engine("fp32"), tmp_path / "m.engine"
    copy.write_bytes(source.read_bytes())
    edited = dataclasses.replace(Sidecar.read(source), device_name="Orin", compute_capability=(8, 7))
    edited.write(copy)
    assert sidecar_path(copy).is_file()
    result = cli("run", copy, "--random")
    assert (result.status, result.out) == (1, "")
    assert "Orin" in result.err


def test_outputs_go_to_a_folder_that_is_there(demo, cli, tmp_path):
    result = cli("run", Artifacts(demo[0]).engine("fp32"), "--random", "--output", tmp_path / "none")
    assert result.status == 1
    assert "cannot write" in result.err
