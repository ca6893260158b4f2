"""The example of the 3-D box network: its script, on a smaller network of the same form, for Keras 2 and Keras 3."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tf2trt import _native, libraries
from tf2trt.conversion import why_not_run
from tf2trt.numerics import relative_error
from tf2trt.sidecar import Sidecar

EXAMPLE = Path(__file__).parents[2] / "examples" / "box3d"
OUTPUTS = {"dimension": (-1, 3), "orientation": (-1, 6, 2), "confidence": (-1, 6)}
SMALL = {"size": 64, "units": (32, 16, 16)}


def module(name, monkeypatch):
    """A module of the example; the folder is on the path for as long as the test lasts."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return loaded


@pytest.fixture(params=["keras", "tf_keras"])
def model(request, monkeypatch):
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    return module("model", monkeypatch).box3d(importlib.import_module(request.param), **SMALL)


def test_the_script_on_a_small_network(model, monkeypatch, tmp_path, capsys):
    errors = module("convert", monkeypatch).convert(model, tmp_path)
    out = capsys.readouterr().out
    assert set(errors["ONNX"]) == set(OUTPUTS)
    assert all(0 < error < 1e-4 for error in errors["ONNX"].values()), errors
    library = libraries.find(need_builder=True)
    for precision, limit in (("fp32", 1e-4), ("fp16", 2e-2)):
        sidecar = Sidecar.read(tmp_path / f"box3d-{precision}.engine")
        assert [spec.name for spec in sidecar.inputs] == ["image"]
        assert {spec.name: spec.shape for spec in sidecar.outputs} == OUTPUTS
        if why_not_run(library):
            assert f"{precision}: built, not run" in out
        else:
            assert all(error < limit for error in errors[precision].values()), errors
    assert sidecar.precision_found["float16"] > 0
    plugins = library.kind != "rtx" and _native.find_plugin_library()
    assert ("1 l2 normalisation" in out) == bool(plugins)
    assert plugins or "takes no plugins" in out or "plugin library is not installed" in out
    assert "Keras on" in out


def test_l2_normalize_becomes_one_node_without_the_models_help(model, tmp_path):
    from tf2trt.export import export
    from tf2trt.surgery import simplify

    export(model, tmp_path / "m.onnx")
    report = simplify(tmp_path / "m.onnx", tmp_path / "m.onnx", plugins=["l2_normalize"])
    assert report.passes[-1].notes[0] == "1 l2 normalisation"
    assert _native.plugin_operators(str(tmp_path / "m.onnx")) == ["L2Normalize"]


def test_both_keras_build_the_same_network(monkeypatch):
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    box3d = module("model", monkeypatch).box3d
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3), np.float32)
    results = [box3d(importlib.import_module(name), **SMALL)(images, training=False) for name in ("keras", "tf_keras")]
    for left, right, shape in zip(*results, OUTPUTS.values()):
        assert tuple(left.shape)[1:] == shape[1:]
        assert relative_error(left, right) < 1e-6
    orientation = np.asarray(results[0][1])
    np.testing.assert_allclose(np.linalg.norm(orientation, axis=2), 1, atol=1e-5)


def test_the_gpu_tests_file_holds_what_tensorflow_answers(monkeypatch):
    """make_box3d.py's arrays: each batch's image and all outputs, of the model that it was handed."""
    import keras

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "gpu"))
    maker = importlib.import_module("make_box3d")
    small = module("model", monkeypatch).box3d(keras, **SMALL)
    arrays = maker.answers(small)
    assert set(arrays) == {f"{batch}/{name}" for batch in (1, 4) for name in ("image", *OUTPUTS)}
    for batch in (1, 4):
        for name, result in zip(OUTPUTS, small(arrays[f"{batch}/image"], training=False)):
            assert arrays[f"{batch}/{name}"].shape == (batch, *OUTPUTS[name][1:])
            assert relative_error(arrays[f"{batch}/{name}"], result) == 0


def test_make_box3d_without_a_folder_says_how():
    script = Path(__file__).parents[1] / "gpu" / "make_box3d.py"
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "make_box3d.py FOLDER" in result.stderr
