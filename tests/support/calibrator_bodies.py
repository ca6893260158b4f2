"""Bodies of tests/python/test_build_calibrator.py: each runs in a process of its own, with a fake driver and a fake
TensorRT that builds (fake_gpu.FakeGpu.put_builder)."""

import gc
import weakref

import numpy as np
import pytest
from fake_gpu import FakeCuda

from tf2trt import _native
from tf2trt.errors import InputError, UsageError

# A ModelProto with an IR version and an empty graph: the fake parser has a network of its own.
MODEL = b"\x08\x08\x3a\x00"


class Calibrator:
    """So many batches, (2, 2) of the batch's number; then None. ``fail`` is raised in the last one's place."""

    method = "entropy"
    batch_size = 2
    cache = b""
    quantile = 0.9999

    def __init__(self, batches, fail=None):
        self.batches = batches
        self.fail = fail
        self.asked = 0

    def next(self):
        self.asked += 1
        if self.fail is not None and self.asked == self.batches:
            raise self.fail
        return {"x": self.array()} if self.asked <= self.batches else None

    def array(self):
        return np.full((2, 2), self.asked, np.float32)


def build(library, calibrator=None, precision="int8", layers=()):
    folder = library.rpartition("/")[0]
    with open(folder + "/m.onnx", "wb") as file:
        file.write(MODEL)
    options = _native.BuilderOptions()
    options.precision = precision
    options.layer_precision = list(layers)
    options.calibrator = calibrator
    options.profiles = [{"x": ((1, 2), (4, 2), (8, 2))}]
    return _native.build(_native.Library.open(library), folder + "/m.onnx", options)


def raises(error, *arguments, words=(), **options):
    with pytest.raises(error) as caught:
        build(*arguments, **options)
    for word in words:
        assert word in str(caught.value), caught.value
    return caught.value


def calibrates(library):
    cuda = FakeCuda()
    for method in ("entropy", "minmax", "percentile"):
        calibrator = Calibrator(3)
        calibrator.method = method
        before = cuda["h2d_bytes"]
        result = build(library, calibrator)
        assert bytes(result.plan) == b"a plan"
        assert result.calibration_cache == b"scales"
        assert calibrator.asked == 4
        assert cuda["h2d_bytes"] == before + 3 * 16
    assert cuda["device_bytes"] == cuda["pinned_bytes"] == cuda["streams"] == 0


def takes_a_cache(library):
    calibrator = Calibrator(3)
    calibrator.cache = b"TRT-8600-EntropyCalibration2\nx: 3c010a14\n"
    assert build(library, calibrator).calibration_cache == b""
    assert calibrator.asked == 0


def copies_what_is_not_contiguous(library):
    class Transposed(Calibrator):
        def array(self):
            return np.full((2, 2), self.asked, np.float32).T[::-1]

    assert build(library, Transposed(2)).calibration_cache == b"scales"


class OwnError(Exception):
    """Known to this module alone."""


def exceptions_come_out(library):
    # The first batch is asked for before the build, the others while TensorRT builds.
    for batch in (1, 2, 3):
        for error in (OwnError("own"), KeyboardInterrupt(), StopIteration()):
            calibrator = Calibrator(batch, error)
            assert raises(type(error), library, calibrator) is error
            assert calibrator.asked == batch
    assert FakeCuda()["device_bytes"] == 0
    assert build(library, Calibrator(1)).calibration_cache == b"scales"


def refuses(library):
    class Wrong(Calibrator):
        def __init__(self, value):
            super().__init__(1)
            self.value = value

        def next(self):
            return self.value

    x = np.zeros((2, 2), np.float32)
    raises(InputError, library, Calibrator(0), words=["no data"])
    raises(InputError, library, Wrong({}), words=["empty batch"])
    raises(InputError, library, Wrong({"y": x}), words=['"x" is missing'])
    raises(InputError, library, Wrong({"x": x, "y": x}), words=["no input of this name", "y"])
    raises(InputError, library, Wrong({"x": x.astype(np.float64)}), words=["float32 ?x2"])
    raises(InputError, library, Wrong({"x": x.astype(">f4")}), words=["float32 ?x2"])
    raises(InputError, library, Wrong({"x": x[:, :1]}), words=["2x1"])
    raises(TypeError, library, Wrong(17))
    for name, value, words in (
        ("method", "best", ["best", "entropy, minmax or percentile"]),
        ("batch_size", 0, ["batch size"]),
    ):
        calibrator = Calibrator(1)
        setattr(calibrator, name, value)
        raises(UsageError, library, calibrator, words=words)
    calibrator = Calibrator(1)
    calibrator.method, calibrator.quantile = "percentile", 2.0
    raises(UsageError, library, calibrator, words=["quantile"])
    raises(UsageError, library, Calibrator(1), words=["only INT8"], precision="fp16")
    raises(UsageError, library, words=["no layer has a scale"])
    raises(AttributeError, library, object())


def lets_go(library):
    arrays = []

    class Watched(Calibrator):
        def array(self):
            array = super().array()
            arrays.append(weakref.ref(array))
            return array

    for error in (None, OwnError()):
        calibrator = Watched(3, error)
        try:
            build(library, calibrator)
        except OwnError as caught:
            caught.__traceback__ = None
        watch = weakref.ref(calibrator)
        del calibrator
        gc.collect()
        assert watch() is None
        assert arrays
        assert all(array() is None for array in arrays)
    assert _native.live_objects() == 0


def sets_layers(library):
    options = _native.BuilderOptions()
    for precision in ("fp32", "tf32", "fp16", "bf16", "int8", "int8+fp16"):
        options.precision = precision
        assert options.precision == precision
    options.layer_precision = [("conv*", "fp32"), ("conv", "fp16")]
    assert options.layer_precision == [("conv*", "fp32"), ("conv", "fp16")]
    with pytest.raises(UsageError, match="fp8"):
        options.layer_precision = [("conv", "fp8")]
    assert options.layer_precision == [("conv*", "fp32"), ("conv", "fp16")]
    assert options.calibrator is None

    assert build(library, precision="fp16").layer_precisions == {}
    assert build(library, precision="fp16", layers=[("c*", "fp16"), ("*v", "fp32")]).layer_precisions == {
        "conv": "fp32"
    }
    raises(UsageError, library, precision="fp16", layers=[("convv", "fp32")], words=["convv=fp32", "nearest", "conv"])


def strongly_typed(library):
    raises(UsageError, library, Calibrator(1), words=["no calibrators", "tf2trt calibrate"])
    raises(UsageError, library, precision="fp16", layers=[("conv", "fp32")], words=["set_precision"])
    result = build(library)
    assert result.calibration_cache == b""
    assert result.layer_precisions == {}


def save_relu(folder):
    import onnx

    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"], "conv")], "graph", [x], [y])
    onnx.save(onnx.helper.make_model(graph), folder + "/relu.onnx")
    return folder + "/relu.onnx"


def takes_tf2trts_own(library):
    from tf2trt.calibration import CalibrationData, TensorRTCalibrator

    relu = save_relu(library.rpartition("/")[0])
    data = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    for method in ("entropy", "minmax", "percentile"):
        calibrator = TensorRTCalibrator(relu, CalibrationData(data, batch_size=2), method)
        before = FakeCuda()["h2d_bytes"]
        assert build(library, calibrator).calibration_cache == b"scales"
        assert FakeCuda()["h2d_bytes"] == before + 2 * 16  # the fifth sample fills no batch


def keeps_the_cache_of_a_refused_engine(library):
    from tf2trt import ShapeRange
    from tf2trt.build import BuildOptions, build_engine
    from tf2trt.errors import Tf2TrtError

    class Keeping(Calibrator):
        kept = None
        full = False

        def save(self, cache):
            self.kept = cache
            if self.full:
                raise OSError("the disk is full")

    folder = library.rpartition("/")[0]
    relu = save_relu(folder)
    profile = {"x": ShapeRange((1, 2), (4, 2), (8, 2))}
    calibrator = Keeping(2)
    options = BuildOptions(precision="int8", profiles=(profile,), calibration=calibrator)
    with pytest.raises(Tf2TrtError):  # the fake's plan cannot be inspected
        build_engine(relu, folder + "/relu.engine", options, library=_native.Library.open(library))
    assert calibrator.asked == 3
    assert calibrator.kept == b"scales"
    calibrator = Keeping(2)
    calibrator.full = True
    with pytest.raises(OSError, match="the disk is full"):
        build(library, calibrator)
