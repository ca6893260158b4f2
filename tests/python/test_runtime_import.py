import subprocess
import sys

import pytest

HEAVY = ["tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "onnx_graphsurgeon", "click", "rich", "pycuda"]
ROOMS = ["tf2trt.export", "tf2trt.surgery", "tf2trt.build", "tf2trt.runtime", "tf2trt.verify", "tf2trt.cli"]


def loaded_by(module):
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("module", ["tf2trt.runtime", "tf2trt.build"])
def test_nothing_heavy_comes_in_and_no_other_room(module):
    loaded = loaded_by(module)
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint(set(ROOMS) - {module})


def test_build_needs_no_numpy():
    assert "numpy" not in loaded_by("tf2trt.build")
