"""The 3-D box network (examples/box3d) on the GPU: every output right in FP32 and FP16, with the l2_normalize plugin.

TF2TRT_BOX3D names a folder with box3d.onnx and box3d.npz, made by make_box3d.py on a machine with TensorFlow; where it
is not set they are made here. TF2TRT_BOX3D_REPORT names a JSON file for the figures.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tf2trt import _native, libraries
from tf2trt.bench import measure, measure_gpu
from tf2trt.build import BuildOptions, build_engine
from tf2trt.numerics import relative_error
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange

LIMITS = {"fp32": 1e-4, "fp16": 2e-2}
OUTPUTS = ("dimension", "orientation", "confidence")
SHAPE = (224, 224, 3)
FIGURES = {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    given = os.environ.get("TF2TRT_BOX3D")
    if given is None:
        path = tmp_path_factory.mktemp("box3d")
        subprocess.run([sys.executable, str(Path(__file__).with_name("make_box3d.py")), str(path)], check=True)
    else:
        path = Path(given)
    for name in ("box3d.onnx", "box3d.npz"):
        assert (path / name).is_file(), f"there is no {path / name}; make it with tests/gpu/make_box3d.py"
    return path


@pytest.fixture(scope="module")
def answers(folder):
    """TensorFlow's: arrays by BATCH/NAME."""
    with np.load(folder / "box3d.npz", allow_pickle=False) as data:
        return dict(data)


@pytest.fixture(scope="module", autouse=True)
def report():
    yield
    target = os.environ.get("TF2TRT_BOX3D_REPORT")
    if target:
        Path(target).write_text(json.dumps({"device": _native.device().name, "box3d": FIGURES}, indent=2) + "\n")


@pytest.fixture(scope="module", params=sorted(LIMITS))
def built(request, folder, tmp_path_factory):
    """(precision, the report of the build, the loaded engine); each is built once."""
    profile = {"image": ShapeRange((1, *SHAPE), (1, *SHAPE), (4, *SHAPE))}
    options = BuildOptions(precision=request.param, profiles=(profile,))
    target = tmp_path_factory.mktemp(request.param) / "box3d.engine"
    result = build_engine(folder / "box3d.onnx", target, options, library=libraries.find(need_builder=True))
    FIGURES[request.param] = {"build_seconds": result.seconds, "bytes": result.sidecar.plan_bytes}
    with Engine.load(result.engine) as engine:
        yield request.param, result, engine


def test_the_graph_holds_the_plugin_and_the_engine_its_library(folder, built):
    _, result, _ = built
    assert _native.plugin_operators(str(folder / "box3d.onnx")) == ["L2Normalize"]
    assert [entry["file"] for entry in result.sidecar.plugins] == ["libtf2trt_plugins.so"]


def test_the_precision_asked_for_is_there(built):
    precision, result, _ = built
    assert (result.sidecar.precision_found.get("float16", 0) > 0) == (precision == "fp16")


@pytest.mark.parametrize("batch", [1, 4])
def test_every_output_agrees_with_tensorflow(built, answers, batch):
    precision, _, engine = built
    results = engine(image=answers[f"{batch}/image"])
    assert set(results) == set(OUTPUTS)
    errors = {name: relative_error(results[name], answers[f"{batch}/{name}"]) for name in OUTPUTS}
    FIGURES[precision][f"rel_error_batch_{batch}"] = errors
    print(f"box3d {precision} batch {batch}: " + ", ".join(f"{name} {error:.2e}" for name, error in errors.items()))
    for name, error in errors.items():
        assert 0 < error < LIMITS[precision], name  # zero: nothing was compared


def test_orientations_have_length_one(built, answers):
    precision, _, engine = built
    lengths = np.linalg.norm(engine(image=answers["4/image"])["orientation"].astype(np.float64), axis=2)
    np.testing.assert_allclose(lengths, 1, atol=1e-5 if precision == "fp32" else 1e-3)


def test_latency_of_one_image(built, answers):
    precision, _, engine = built
    inputs = {"image": answers["1/image"]}
    host = measure(engine, inputs, warmup=50, iterations=1000)
    gpu = measure_gpu(engine, inputs, warmup=50, iterations=1000)
    FIGURES[precision].update(host_to_host=host.to_json(), gpu_only=gpu.to_json())
    print(f"box3d {precision} batch 1: host to host {host}; GPU only {gpu}")
    assert 0 < gpu.p50_ms < host.p50_ms <= host.p99_ms
