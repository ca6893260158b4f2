"""Export without TensorFlow: what is refused before any work, and what importing costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tf2trt.errors import ExportError, MissingExtraError, OutputError, UsageError
from tf2trt.export import ExportReport, export
from tf2trt.export.source import brief, fix_shapes, flatten_outputs, shape_of, spec_from
from tf2trt.specs import TensorSpec

pytest.importorskip("onnx")  # `require` is tested elsewhere; this folder wants the real thing


def test_importing_brings_in_nothing_heavy():
    code = (
        "import sys, tf2trt.export, tf2trt.surgery, tf2trt.verify\n"
        "print([m for m in ('tensorflow', 'keras', 'onnx', 'tf2onnx', 'onnxruntime', 'onnx_graphsurgeon')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("where", ["missing/m.onnx", "file/m.onnx", "folder"])
def test_an_output_that_cannot_be_written_is_found_first(tmp_path: Path, where: str):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    # The model is nonsense: were any work done before the output is looked at, another error would come.
    with pytest.raises(OutputError, match="cannot write"):
        export(object(), tmp_path / where)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("package", ["tensorflow", "onnx", "tf2onnx"])
def test_a_missing_package_is_answered_with_the_pip_command(tmp_path, monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # the import system then says "not found"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    if package != "tensorflow":
        monkeypatch.setitem(sys.modules, "tensorflow", sys)  # spares the test its import
    model = tmp_path / "m"
    model.mkdir()
    (model / "saved_model.pb").touch()
    with pytest.raises(MissingExtraError) as caught:
        export(model, tmp_path / "m.onnx")
    assert "pip install 'tf2trt[export]'" in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("name", ["nothing-there", "folder", "text.txt"])
def test_a_path_without_a_model(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(
        ExportError, match=r"expected: a SavedModel folder .* \.keras file or an \.h5 file, a frozen graph"
    ):
        export(tmp_path / name, tmp_path / "m.onnx")


def test_a_signature_is_for_a_saved_model(tmp_path):
    with pytest.raises(UsageError, match="signature and tags belong to a SavedModel"):
        export(lambda x: x, tmp_path / "m.onnx", signature="serving_default")


def test_fix_shapes():
    specs = [TensorSpec("x", "float32", (-1, 28, -1)), TensorSpec("n", "int64", ())]
    assert fix_shapes(specs, None) == tuple(specs)
    fixed = fix_shapes(specs, {"x": (4, None, 7)})
    assert fixed == (TensorSpec("x", "float32", (4, 28, 7)), specs[1])
    assert fix_shapes(specs, {"n": np.int64(3)}) == tuple(specs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"y": (1,)}, r"received: 'y'[\s\S]*x \(\?x28x\?\)"),
        ({"x": (1, 28)}, r"received: x: float32 1x28[\s\S]*expected: x: float32 \?x28x\?"),
        ({"x": (1, 27, 3)}, "1x27x3"),
        ({"x": np.zeros((1, 28, 3), np.float16)}, "float16"),
        ({"x": "1x28x3"}, "the shape of 'x'"),
    ],
)
def test_fix_shapes_refuses(inputs, message):
    with pytest.raises(UsageError, match=message):
        fix_shapes([TensorSpec("x", "float32", (-1, 28, -1))], inputs)


def test_shapes_and_specs_in_all_spellings():
    assert shape_of((None, -1, 3)) == (-1, -1, 3)
    assert shape_of(None) is None
    assert spec_from("x", [1, 2]) == TensorSpec("x", "float32", (1, 2))
    assert spec_from("x", np.zeros((2, 3), np.uint8)) == TensorSpec("x", "uint8", (2, 3))


def test_names_of_nested_outputs():
    assert flatten_outputs(7) == [("output_0", 7)]
    assert flatten_outputs([1, (2, 3)]) == [("output_0", 1), ("output_1_0", 2), ("output_1_1", 3)]
    assert flatten_outputs({"a": 1, "b": {"c": 2}, "none": None}) == [("a", 1), ("b_c", 2)]


def test_brief_keeps_what_was_said():
    error = ValueError(
        'in user code:\n\n    File "/a/b.py", line 3, in f  *\n        return g(x)\n\n    \x1b[1mToo wide.\x1b[0m\n'
    )
    assert brief(error) == "ValueError: Too wide."
    assert brief(KeyError()) == "KeyError: no message"


def test_the_report_as_json():
    spec = TensorSpec("x", "float32", (-1, 3))
    report = ExportReport(Path("m.onnx"), "keras", (spec,), (spec,), 15, None, 4, 1.23456)
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 3]}]
    assert plain["seconds"] == 1.235
    assert plain["max_rel_error"] is None
    assert plain["source"] == "keras"
