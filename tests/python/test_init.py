import importlib
import subprocess
import sys

import pytest

import tf2trt

PUBLIC = [
    "BuildOptions",
    "Engine",
    "ShapeRange",
    "TensorSpec",
    "Tf2TrtError",
    "__version__",
    "build_engine",
    "convert",
]
HEAVY = [
    "numpy",
    "tensorflow",
    "keras",
    "onnx",
    "tf2onnx",
    "onnxruntime",
    "onnx_graphsurgeon",
    "pycuda",
    "click",
    "rich",
]


def test_the_public_names_are_pinned():
    assert sorted(tf2trt.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name):
    assert getattr(tf2trt, name) is not None
    assert name in dir(tf2trt)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tf2trt.nothing


def test_convert_is_the_function_and_stays_it():
    code = "import tf2trt.conversion; f = tf2trt.convert; print(callable(f), f is tf2trt.conversion.convert)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "True"]


def test_export_is_the_package():
    assert importlib.import_module("tf2trt.export").__name__ == "tf2trt.export"


def test_importing_tf2trt_brings_in_no_heavy_package():
    code = f"import sys, tf2trt; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
