"""INT8 on the GPU: a trained network's accuracy by each method and both products, and TensorRT's calibration cache.

Q/DQ graphs are built by whichever TensorRT is here; calibrators are those of TensorRT 8 and 10. TF2TRT_DIGITS names a
folder with the network, made by make_digits.py on a machine with TensorFlow; where it is not set it is trained here.
"""

import json
import re

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.build import BuildOptions
from tf2trt.calibration import METHODS, CalibrationData, TensorRTCalibrator, import_cache, quantize, read_cache
from tf2trt.calibration.cache import binding_path
from tf2trt.conversion import build_for, why_not_run
from tf2trt.errors import BuildError, UsageError
from tf2trt.runtime import Engine
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange

ALGORITHMS = {"entropy": "EntropyCalibration2", "minmax": "MinMaxCalibration", "percentile": "LegacyCalibration"}
PROFILE = {"image": ShapeRange((1, 8, 8, 1), (32, 8, 8, 1), (512, 8, 8, 1))}


@pytest.fixture(scope="module")
def library():
    found = libraries.find(need_builder=True)
    assert why_not_run(found) is None
    return found


@pytest.fixture(scope="module")
def calibrating(library):
    """Without a calibrator there is nothing to test here, on any host: these TensorRTs have Q/DQ alone."""
    return not library.strongly_typed


@pytest.fixture
def data(digits):
    return CalibrationData(digits.images, samples=320, batch_size=32)


@pytest.fixture(scope="module")
def timings(tmp_path_factory):
    return tmp_path_factory.mktemp("timings") / "timings"


@pytest.fixture
def build(timings):
    """build(onnx, engine, precision="int8", calibration=None): the report."""

    def call(onnx, engine, precision="int8", calibration=None):
        # TensorRT 8 and 10 take the fastest kernel; in a network this small that may be one in FP32.
        options = BuildOptions(
            precision=precision,
            profiles=(PROFILE,),
            timing_cache=timings,
            calibration=calibration,
            allow_fallback=True,
        )
        return build_for(onnx, engine, options)

    return call


def accuracy(engine, digits):
    with Engine.load(engine) as loaded:
        outputs = loaded(image=digits.held_images)
    scores = outputs["scores"] if isinstance(outputs, dict) else outputs
    assert np.isfinite(scores).all()
    return float(np.mean(np.asarray(scores).argmax(axis=1) == digits.held_labels))


@pytest.fixture(scope="module")
def fp32(digits, library, timings, tmp_path_factory):
    engine = tmp_path_factory.mktemp("fp32") / "m.engine"
    build_for(digits.onnx, engine, BuildOptions(profiles=(PROFILE,), timing_cache=timings), library=library)
    found = accuracy(engine, digits)
    assert found > 0.97
    return found


@pytest.mark.parametrize("precision", ["int8", "int8+fp16"])
@pytest.mark.parametrize("method", METHODS)
def test_a_qdq_graph_is_within_a_point(digits, fp32, data, build, tmp_path, method, precision):
    quantize(digits.onnx, tmp_path / "q.onnx", data, method)
    report = build(tmp_path / "q.onnx", tmp_path / "m.engine", precision)
    found = accuracy(report.engine, digits)
    print(f"digits: FP32 {fp32:.4f}, {precision} by {method}, Q/DQ {found:.4f}; {report.sidecar.precision_found}")
    assert found >= fp32 - 0.01
    assert report.sidecar.precision_found.get("int8", 0) > 0


@pytest.mark.parametrize("method", METHODS)
def test_tensorrts_own_calibrator_is_within_a_point(digits, fp32, calibrating, data, build, tmp_path, method):
    cache = tmp_path / "m.calib"
    if not calibrating:
        with pytest.raises(UsageError, match="no calibrators"):
            build(digits.onnx, tmp_path / "m.engine", calibration=TensorRTCalibrator(digits.onnx, data, method, cache))
        return
    calls = []
    calibrator = TensorRTCalibrator(digits.onnx, data, method, cache, progress=lambda *call: calls.append(call))
    report = build(digits.onnx, tmp_path / "m.engine", calibration=calibrator)
    found = accuracy(report.engine, digits)
    print(f"digits: FP32 {fp32:.4f}, INT8 by {method}, native {found:.4f}; {report.sidecar.precision_found}")
    assert found >= fp32 - 0.01
    assert calls[-1] == (320, 320)

    # The cache: TensorRT's plain text, bound to the model by the file beside it.
    first = cache.read_text().splitlines()[0]
    assert re.fullmatch(rf"TRT-\d+-{ALGORITHMS[method]}", first)
    assert json.loads(binding_path(cache).read_text())["method"] == method
    kept = read_cache(cache, digits.onnx, method)
    # Pixels are from 0 to 1; entropy and percentile may cut the largest off.
    assert kept.scales["image"] == pytest.approx(1 / 127, rel=0.01 if method == "minmax" else 0.5)
    assert len(kept.scales) > 10

    # It serves without data, and with data no batch is asked for.
    calls.clear()
    again = TensorRTCalibrator(digits.onnx, None, method, cache)
    assert accuracy(build(digits.onnx, tmp_path / "n.engine", calibration=again).engine, digits) >= fp32 - 0.01
    with_data = TensorRTCalibrator(digits.onnx, data, method, cache, progress=lambda *call: calls.append(call))
    build(digits.onnx, tmp_path / "o.engine", calibration=with_data)
    assert calls == []
    assert cache.read_bytes() == kept.data


def test_a_cache_from_elsewhere(digits, fp32, calibrating, data, build, tmp_path):
    """One that was made without tf2trt's binding, as trtexec leaves it."""
    if not calibrating:
        return
    made = TensorRTCalibrator(digits.onnx, data, "minmax")
    build(digits.onnx, tmp_path / "m.engine", calibration=made)
    old = tmp_path / "trtexec.cache"
    old.write_bytes(made.cache)
    with pytest.raises(UsageError, match="does not say of which model"):
        TensorRTCalibrator(digits.onnx, None, "minmax", old)
    import_cache(old, tmp_path / "m.calib", digits.onnx)
    calibrator = TensorRTCalibrator(digits.onnx, None, "minmax", tmp_path / "m.calib")
    assert accuracy(build(digits.onnx, tmp_path / "n.engine", calibration=calibrator).engine, digits) >= fp32 - 0.01


def test_a_cache_that_tensorrt_does_not_take_is_said(digits, calibrating, data, build, tmp_path):
    if not calibrating:
        return
    made = TensorRTCalibrator(digits.onnx, data, "minmax")
    build(digits.onnx, tmp_path / "m.engine", calibration=made)
    other = tmp_path / "other.cache"
    other.write_bytes(made.cache.replace(b"MinMaxCalibration", b"EntropyCalibration2", 1))
    import_cache(other, tmp_path / "m.calib", digits.onnx)
    calibrator = TensorRTCalibrator(digits.onnx, None, "entropy", tmp_path / "m.calib")
    calibrator.method = "minmax"  # the cache says entropy
    # It may ask for data instead, or give up with a message of its own.
    with pytest.raises((UsageError, BuildError), match=r"did not take|does not take|does not match"):
        build(digits.onnx, tmp_path / "n.engine", calibration=calibrator)
    assert not (tmp_path / "n.engine").exists()


def test_data_that_fails_half_way_stops_the_build_and_leaves_nothing(digits, calibrating, build, tmp_path):
    if not calibrating:
        return
    images = digits.images[:96].copy()
    images[70] = np.nan
    calibrator = TensorRTCalibrator(digits.onnx, CalibrationData(images, batch_size=32), "minmax", tmp_path / "m.calib")
    with pytest.raises(UsageError, match="sample 70 has values that are not finite"):
        build(digits.onnx, tmp_path / "m.engine", calibration=calibrator)
    assert list(tmp_path.iterdir()) == []
    mended = TensorRTCalibrator(digits.onnx, CalibrationData(digits.images[:96], batch_size=32), "minmax")
    build(digits.onnx, tmp_path / "m.engine", calibration=mended)
    assert mended.cache


def test_build_with_calib_on_the_command_line(digits, calibrating, cli, timings, tmp_path):
    np.save(tmp_path / "data.npy", digits.images[:64])
    shapes = ("--min-shapes", "image:1x8x8x1", "--opt-shapes", "image:8x8x8x1", "--max-shapes", "image:64x8x8x1")
    common = ("build", digits.onnx, "--precision", "int8", "--allow-fallback", "--timing-cache", timings, *shapes)
    result = cli(*common, "-o", tmp_path / "m.engine", "--calib", tmp_path / "data.npy", "--calib-method", "entropy")
    assert result.status == 0, result.err
    assert Sidecar.read(tmp_path / "m.engine").precision_asked == "int8"
    assert (tmp_path / "m.calib").exists() == calibrating
    if calibrating:
        result = cli(*common, "-o", tmp_path / "n.engine", "--calib", tmp_path / "m.calib", "--calib-method", "entropy")
        assert result.status == 0, result.err
