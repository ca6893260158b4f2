"""ResNet-50 on the GPU: right in FP32 and FP16, and how fast for one image.

TF2TRT_RESNET50 names a folder with resnet50.onnx, made by make_resnet50.py on a machine with TensorFlow; where it is
not set the file is made here. TF2TRT_REPORT names a JSON file for the figures.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tf2trt import _native
from tf2trt.bench import measure, measure_gpu
from tf2trt.build import BuildOptions
from tf2trt.conversion import build_for
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange
from tf2trt.verify import OnnxReference, random_inputs, verify_engine

LIMITS = {"fp32": 1e-4, "fp16": 2e-2}
FIGURES = {}


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    folder = os.environ.get("TF2TRT_RESNET50")
    if folder is None:
        folder = tmp_path_factory.mktemp("resnet50")
        subprocess.run([sys.executable, str(Path(__file__).with_name("make_resnet50.py")), str(folder)], check=True)
    path = Path(folder) / "resnet50.onnx"
    assert path.is_file(), f"TF2TRT_RESNET50: there is no {path}; make it with tests/gpu/make_resnet50.py"
    return path


@pytest.fixture(scope="module")
def reference(onnx):
    return OnnxReference(onnx)


@pytest.fixture(scope="module", autouse=True)
def report():
    yield
    target = os.environ.get("TF2TRT_REPORT")
    if target:
        Path(target).write_text(json.dumps({"device": _native.device().name, "resnet50": FIGURES}, indent=2) + "\n")


@pytest.fixture(scope="module", params=sorted(LIMITS))
def engine(request, onnx, reference, tmp_path_factory):
    """(precision, the loaded engine); each is built once."""
    (spec,) = reference.inputs
    shape = tuple(spec.shape[1:])
    profile = {spec.name: ShapeRange((1, *shape), (1, *shape), (4, *shape))}
    options = BuildOptions(precision=request.param, profiles=(profile,))
    built = build_for(onnx, tmp_path_factory.mktemp(request.param) / "resnet50.engine", options)
    FIGURES[request.param] = {"build_seconds": built.seconds, "bytes": built.sidecar.plan_bytes}
    assert request.param == "fp32" or built.sidecar.precision_found["float16"] > 0
    with Engine.load(built.engine) as loaded:
        yield request.param, loaded


@pytest.mark.parametrize("batch", [1, 4])
def test_it_agrees_with_onnx_runtime(engine, onnx, batch):
    precision, loaded = engine
    result = verify_engine(onnx, loaded, batch=batch, tolerance=LIMITS[precision])
    FIGURES[precision][f"rel_error_batch_{batch}"] = result.max_rel_error
    print(f"ResNet-50 {precision} batch {batch}: relative error {result.max_rel_error:.2e}")
    result.raise_if_failed()
    assert result.max_rel_error > 0  # two implementations never agree to the last bit: zero means nothing was compared


def test_latency_of_one_image(engine, reference):
    precision, loaded = engine
    inputs = random_inputs(reference.inputs, batch=1, seed=0)
    host = measure(loaded, inputs, warmup=50, iterations=1000)
    gpu = measure_gpu(loaded, inputs, warmup=50, iterations=1000)
    FIGURES[precision].update(host_to_host=host.to_json(), gpu_only=gpu.to_json())
    print(f"ResNet-50 {precision} batch 1: host to host {host}; GPU only {gpu}")
    assert 0 < gpu.p50_ms < host.p50_ms
