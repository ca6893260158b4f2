"""``tf2trt calibrate`` and ``tf2trt build --calib``."""

import json
import sys

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.calibration import read_cache
from tf2trt.cli import calibration as options
from tf2trt.sidecar import Sidecar

onnx = pytest.importorskip("onnx")

SHAPES = ("--min-shapes", "image:1x8x8x1", "--opt-shapes", "image:8x8x8x1", "--max-shapes", "image:32x8x8x1")
CACHE = b"TRT-8600-EntropyCalibration2\nimage: 3c010a14\nscores: 3d2b5c80\n"


@pytest.fixture
def data(digits, tmp_path):
    np.save(tmp_path / "data.npy", digits.images[:40])
    return tmp_path / "data.npy"


def test_calibrate(cli, digits, data, tmp_path):
    output = tmp_path / "q.onnx"
    result = cli("calibrate", digits.onnx, "--data", data, "-o", output, "--method", "percentile", "--quantile", 0.999)
    assert result.status == 0, result.err
    assert "percentile" in result.out
    assert "40 in 5 batches" in result.out
    assert result.err == ""
    kinds = [each.op_type for each in onnx.load(str(output)).graph.node]
    assert kinds.count("QuantizeLinear") == kinds.count("DequantizeLinear") > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "q.onnx"]


def test_json_options_and_a_function(cli, digits, data, tmp_path, monkeypatch):
    (tmp_path / "prepare_digits.py").write_text(
        "import numpy as np\ndef half(x):\n    return (x / 2).astype(np.float32)\n"
    )
    monkeypatch.chdir(tmp_path)
    result = cli(
        "calibrate", digits.onnx, "--data", data, "-o", "q.onnx", "--samples", 10, "--batch", 4,
        "--preprocess", "prepare_digits:half", "--exclude", "*scores*", "--json",
    )  # fmt: skip
    assert result.status == 0, result.err
    value = json.loads(result.out)
    assert (value["samples"], value["batches"], value["method"]) == (10, 3, "minmax")
    assert {"node": next(item["node"] for item in value["left"]), "reason": "excluded"} in value["left"]
    assert max(value["scales"].values()) > 0
    first = next(iter(value["scales"].values()))
    assert first == pytest.approx(0.5 / 127)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "--data DATA, or --import-cache FILE"),
        (("--data", "none.npy"), 2, "nothing at"),
        (("--data", "nothing_here:f"), 2, "no module"),
        (("--data", "{data}", "--exclude", "nothing*"), 2, "no node's name matches"),
        (("--data", "{data}", "--batch", "0"), 2, "1 or more"),
        (("--data", "{data}", "--import-cache", "x"), 2, "or --import-cache"),
        (("--import-cache", "none.cache"), 2, "cannot read"),
    ],
)
def test_wrong_usage(cli, digits, data, tmp_path, arguments, status, words):
    result = cli("calibrate", digits.onnx, "-o", tmp_path / "q", *(each.format(data=data) for each in arguments))
    assert (result.status, result.out) == (status, "")
    assert words in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "q").exists()


def test_a_quantised_model_is_status_1(cli, digits, data, tmp_path):
    assert cli("calibrate", digits.onnx, "--data", data, "-o", tmp_path / "q.onnx").status == 0
    result = cli("calibrate", tmp_path / "q.onnx", "--data", data, "-o", tmp_path / "r.onnx")
    assert (result.status, result.out) == (1, "")
    assert "quantised already" in result.err


def test_import_cache(cli, digits, tmp_path):
    (tmp_path / "old.cache").write_bytes(CACHE)
    arguments = ("calibrate", digits.onnx, "--import-cache", tmp_path / "old.cache", "-o", tmp_path / "m.calib")
    result = cli(*arguments, "--json")
    assert json.loads(result.out)["tensors"] == 2
    assert "2 scales by entropy" in cli(*arguments).out
    assert read_cache(tmp_path / "m.calib", digits.onnx, "entropy").data == CACHE


@pytest.fixture
def rtx(monkeypatch):
    """The TensorRT that the command finds is TensorRT-RTX, whichever others are here."""
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    found = [each.library for each in libraries.candidates() if each.library is not None and each.library.kind == "rtx"]
    assert found, "the wheel is installed but its library was not found"
    monkeypatch.setenv("TF2TRT_NVINFER", found[0].path)
    libraries.find.cache_clear()
    yield
    libraries.find.cache_clear()


def test_build_with_data(cli, rtx, digits, data, tmp_path):
    engine = tmp_path / "m.engine"
    result = cli("build", digits.onnx, "-o", engine, "--precision", "int8", "--calib", data, *SHAPES)
    assert result.status == 0, result.err
    sidecar = Sidecar.read(engine)
    assert sidecar.precision_found["int8"] > 10
    assert sidecar.onnx_file == digits.onnx.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "m.engine", "m.engine.json"]


def test_build_refuses_what_cannot_work(cli, rtx, digits, data, tmp_path):
    (tmp_path / "m.cache").write_bytes(CACHE)
    for calib, precision, words in (
        (data, "fp16", "calibration is for INT8"),
        (tmp_path / "m.cache", "int8", "reads no calibration cache"),
    ):
        engine = tmp_path / "m.engine"
        result = cli("build", digits.onnx, "-o", engine, "--precision", precision, "--calib", calib, *SHAPES)
        assert (result.status, result.out) == (2, "")
        assert words in result.err
        assert not engine.exists()


def test_the_bar_and_the_builds_progress(monkeypatch):
    with options.calibration_bar("calibrating") as progress:
        assert progress is None  # no terminal
    monkeypatch.setattr(options.Console, "is_terminal", property(lambda console: True))
    with options.calibration_bar("calibrating m.onnx") as progress:
        progress(0, None)
        progress(8, 40)
        progress(40, 40)
    calls = []
    update = options._samples(lambda *call: calls.append(call) or True)
    update(8, None)
    update(8, 40)
    assert calls == [("calibrating", "", 8, 8), ("calibrating", "", 8, 40)]
    assert options._samples(None) is None


def test_calibration_is_imported_when_it_is_called():
    import subprocess

    code = "import tf2trt.cli.calibrate, sys; print([n for n in ('onnx', 'onnxruntime', 'PIL') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    code = "import tf2trt.calibration, sys; print([n for n in ('onnx', 'onnxruntime', 'PIL') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
