"""TensorRT's calibration caches and the calibrator of TensorRT 8 and 10, as far as no GPU is needed."""

import json
import struct

import numpy as np
import pytest
from small_graphs import FLOAT, build, node

from tf2trt.calibration import CalibrationData, TensorRTCalibrator, import_cache, quantize, read_cache, write_cache
from tf2trt.calibration.build import prepare_build
from tf2trt.calibration.cache import binding_path, is_cache, parse_cache
from tf2trt.calibration.model import model_hash
from tf2trt.errors import ModelError, OnnxError, OutputError, UsageError

onnx = pytest.importorskip("onnx")

DATA = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
SCALES = {"x": 0.0078, "(Unnamed Layer* 3) [Shuffle]_output": 0.25, "scope/a: b": 1.5, "zero": 0.0}


def text(scales=SCALES, first="TRT-8600-MinMaxCalibration"):
    """As TensorRT writes it: hex without leading zeros."""
    lines = [f"{name}: {struct.unpack('!I', struct.pack('!f', scale))[0]:x}" for name, scale in scales.items()]
    return "\n".join([first, *lines, ""]).encode()


CACHE = text()


def save(path, weight=1.0, name="x"):
    weights = np.full((4, 3), weight, np.float32)
    graph = build(
        [node("MatMul", [name, "w"], ["y"])], [(name, FLOAT, ["n", 4])], [("y", FLOAT, ["n", 3])], {"w": weights}
    )
    onnx.save(graph, str(path))
    return path


@pytest.fixture
def model(tmp_path):
    return save(tmp_path / "m.onnx")


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_cache_is_read(tmp_path):
    cache = parse_cache(CACHE, "m.cache")
    assert (cache.version, cache.algorithm, cache.method) == (8600, "MinMaxCalibration", "minmax")
    assert cache.scales == {name: np.float32(scale) for name, scale in SCALES.items()}
    (tmp_path / "m.cache").write_bytes(CACHE)
    assert is_cache(tmp_path / "m.cache")
    assert not is_cache(tmp_path / "none")
    assert not is_cache(tmp_path)


@pytest.mark.parametrize(
    ("algorithm", "method"),
    [("EntropyCalibration2", "entropy"), ("EntropyCalibration", "entropy"), ("LegacyCalibration", "percentile")],
)
def test_every_calibrator_has_its_name(algorithm, method):
    assert parse_cache(text(first=f"TRT-101600-{algorithm}"), "m.cache").method == method


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x: 3c010a14\n",
        b"TRT-8600-\nx: 3c010a14\n",
        b"TRT-8600-BestCalibration\nx: 3c010a14\n",
        b"TRT-8600-MinMaxCalibration\n",
        CACHE[:-1],
        CACHE[:-5] + b"\n",  # a scale without its last digits is a float too, one that no tensor has
        CACHE.replace(b"x: ", b"x "),
        CACHE.replace(b"x: 3b", b"x: 7fc"),
        CACHE + b"y: 7f800000\n",  # infinity
        CACHE + b"y: 7fc00000\n",  # NaN
        CACHE + b"y: bc010a14\n",  # negative
        CACHE + b"y: 00003c01\n",  # denormal
        CACHE + b"y: hello\n",
        CACHE + b"\xff\xfe: 3c010a14\n",
    ],
)
def test_a_corrupt_cache(data):
    if data == CACHE[:-5] + b"\n":
        data = b"TRT-8600-MinMaxCalibration\nx: 3c01\n"
    with pytest.raises(UsageError, match=r"m\.cache is no whole calibration cache"):
        parse_cache(data, "m.cache")


def test_a_cache_stays_plain_and_is_bound_beside(model, tmp_path):
    path = tmp_path / "m.cache"
    assert read_cache(path, model) is None
    written = write_cache(path, model, CACHE, samples=500)
    assert path.read_bytes() == CACHE
    binding = json.loads(binding_path(path).read_text())
    assert binding["onnx_sha256"] == model_hash(model)
    assert (binding["method"], binding["tensorrt"], binding["tensors"], binding["samples"]) == ("minmax", 8600, 4, 500)
    assert read_cache(path, model) == read_cache(path, model, "minmax") == written
    with pytest.raises(UsageError, match="no whole calibration cache"):
        write_cache(path, model, CACHE[:-3])
    assert path.read_bytes() == CACHE
    with pytest.raises(OutputError):
        write_cache(tmp_path / "no" / "m.cache", model, CACHE)


def test_a_cache_of_another_model_is_refused(model, tmp_path):
    write_cache(tmp_path / "m.cache", model, CACHE)
    other = save(tmp_path / "other.onnx", weight=2.0)  # the same tensors by name
    with pytest.raises(UsageError, match=r"of another model(?s:.)*m\.onnx(?s:.)*other\.onnx"):
        read_cache(tmp_path / "m.cache", other)
    save(model, weight=3.0)  # the same file, trained again
    with pytest.raises(UsageError, match="of another model"):
        read_cache(tmp_path / "m.cache", model)
    with pytest.raises(OnnxError, match="none"):
        read_cache(tmp_path / "m.cache", tmp_path / "none.onnx")


def test_weights_beside_the_model_count(tmp_path):
    model = onnx.load(str(save(tmp_path / "m.onnx")))
    onnx.save(model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    before = model_hash(tmp_path / "m.onnx")
    data = bytearray((tmp_path / "m.onnx.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "m.onnx.data").write_bytes(bytes(data))
    assert model_hash(tmp_path / "m.onnx") != before


def test_another_method_is_refused(model, tmp_path):
    write_cache(tmp_path / "m.cache", model, CACHE)
    with pytest.raises(UsageError, match=r"another method(?s:.)*minmax \(MinMaxCalibration\)(?s:.)*entropy"):
        read_cache(tmp_path / "m.cache", model, "entropy")


def test_a_cache_that_was_changed_is_refused(model, tmp_path):
    path = tmp_path / "m.cache"
    write_cache(path, model, CACHE)
    path.write_bytes(CACHE.replace(b"x: 3b", b"x: 3c"))
    with pytest.raises(UsageError, match="is damaged"):
        read_cache(path, model)


@pytest.mark.parametrize("binding", ["", "{", "[]", '{"onnx_sha256": 3}', '{"onnx_file": "m", "cache_sha256": ""}'])
def test_a_binding_that_cannot_be_read(model, tmp_path, binding):
    write_cache(tmp_path / "m.cache", model, CACHE)
    binding_path(tmp_path / "m.cache").write_text(binding)
    with pytest.raises(UsageError, match=r"m\.cache\.json cannot be read"):
        read_cache(tmp_path / "m.cache", model)


def test_killed_while_writing(model, tmp_path, monkeypatch):
    """Whatever was written before the kill, the next run finds a whole cache or none."""
    from tf2trt.calibration import cache as module

    path = tmp_path / "m.cache"
    real, calls = module.atomic_write, []

    class KilledError(BaseException):
        pass

    def killed_at(number):
        def write(*given):
            calls.append(given)
            if len(calls) == number:
                raise KilledError
            real(*given)

        return write

    for old in (False, True):
        for number in (1, 2):
            if old:
                write_cache(path, model, text({"x": 1.0}))
            calls.clear()
            with monkeypatch.context() as patch:
                patch.setattr(module, "atomic_write", killed_at(number))
                with pytest.raises(KilledError):
                    write_cache(path, model, CACHE)
            assert read_cache(path, model) is None
    write_cache(path, model, CACHE)
    assert read_cache(path, model).data == CACHE


def test_an_old_cache_is_imported_and_only_on_demand(model, tmp_path):
    old, new = tmp_path / "old.cache", tmp_path / "new.cache"
    old.write_bytes(CACHE)
    with pytest.raises(UsageError, match=r"does not say of which model(?s:.)*--import-cache"):
        read_cache(old, model)
    import_cache(old, new, model)
    assert new.read_bytes() == CACHE
    assert read_cache(new, model, "minmax").scales["x"] == np.float32(0.0078)
    assert json.loads(binding_path(new).read_text())["imported"] == "old.cache"
    import_cache(old, old, model)  # in place
    assert read_cache(old, model).data == CACHE


def test_what_is_not_imported(model, tmp_path):
    (tmp_path / "other.cache").write_bytes(text({"image": 1.0, "conv": 2.0}))
    with pytest.raises(UsageError, match=r"not of this model(?s:.)*image, conv(?s:.)*the input x"):
        import_cache(tmp_path / "other.cache", tmp_path / "new.cache", model)
    (tmp_path / "cut.cache").write_bytes(CACHE[:-1])
    with pytest.raises(UsageError, match="cut off in line 5"):
        import_cache(tmp_path / "cut.cache", tmp_path / "new.cache", model)
    with pytest.raises(UsageError, match="cannot read"):
        import_cache(tmp_path / "none", tmp_path / "new.cache", model)
    assert not (tmp_path / "new.cache").exists()


# --- the calibrator --------------------------------------------------------------------------------------------------


def drain(calibrator):
    batches = []
    while True:
        batch = calibrator.next()
        if batch is None:
            return batches
        batches.append(batch["x"])


def test_batches_are_full_and_begin_again(model):
    calls = []
    calibrator = TensorRTCalibrator(
        model, CalibrationData(DATA, batch_size=4), "entropy", progress=lambda *call: calls.append(call)
    )
    assert (calibrator.method, calibrator.batch_size, calibrator.cache) == ("entropy", 4, b"")
    for _ in range(2):  # TensorRT's legacy calibrator reads the data twice
        batches = drain(calibrator)
        np.testing.assert_array_equal(np.concatenate(batches), DATA[:8])
        assert all(batch.flags.c_contiguous for batch in batches)
    assert calls == [(4, 10), (8, 10)] * 2


def test_a_generator_ends_once_and_for_all(model):
    calibrator = TensorRTCalibrator(model, CalibrationData(iter(DATA), batch_size=5), "percentile", quantile=0.99)
    assert calibrator.quantile == 0.99
    assert len(drain(calibrator)) == 2
    assert calibrator.next() is None


def test_what_tensorrt_gave_is_kept_and_taken_next_time(model, tmp_path):
    path = tmp_path / "m.cache"
    calibrator = TensorRTCalibrator(model, DATA, "minmax", path)
    calibrator.save(b"")  # TensorRT wrote none
    assert not path.exists()
    calibrator.save(CACHE)
    assert calibrator.cache == CACHE == path.read_bytes()
    for data in (DATA, None):
        again = TensorRTCalibrator(model, data, "minmax", path)
        assert again.cache == CACHE
        again.save(CACHE.replace(b"\n", b" \n"))  # TensorRT 8 wrote what it had read
        assert again.cache == CACHE == path.read_bytes()
    with pytest.raises(UsageError, match="another method"):
        TensorRTCalibrator(model, DATA, "entropy", path)
    with pytest.raises(UsageError, match="of another model"):
        TensorRTCalibrator(save(tmp_path / "n.onnx", 2.0), DATA, "minmax", path)


def test_a_cache_that_tensorrt_does_not_take(model, tmp_path):
    path = tmp_path / "m.cache"
    write_cache(path, model, CACHE)
    with pytest.raises(UsageError, match="did not take the calibration cache"):
        TensorRTCalibrator(model, None, "minmax", path).next()
    calibrator = TensorRTCalibrator(model, CalibrationData(DATA, batch_size=5), "minmax", path)
    assert len(drain(calibrator)) == 2
    other = text(first="TRT-8601-MinMaxCalibration")
    calibrator.save(other)
    assert path.read_bytes() == other


def test_a_model_that_changed_meanwhile(model, tmp_path):
    calibrator = TensorRTCalibrator(model, DATA, "minmax", tmp_path / "m.cache")
    save(model, weight=5.0)
    with pytest.raises(ModelError, match="was changed during the calibration"):
        calibrator.save(CACHE)
    assert not (tmp_path / "m.cache").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "neither data nor a cache"),
        (DATA[:0], "it is empty"),
        (DATA[:3], "not one full batch"),
        (DATA.astype(np.float64), "float64"),
        (DATA * np.nan, "not finite"),
    ],
)
def test_faults_are_found_before_tensorrt_starts(model, data, words):
    with pytest.raises(UsageError, match=words):
        TensorRTCalibrator(model, data, "minmax", model.with_suffix(".cache"))
    assert [path.name for path in model.parent.iterdir()] == ["m.onnx"]


def test_other_faults(model, tmp_path):
    with pytest.raises(OutputError):
        TensorRTCalibrator(model, DATA, cache_path=tmp_path / "no" / "m.cache")
    with pytest.raises(UsageError, match="method"):
        TensorRTCalibrator(model, DATA, "best")
    with pytest.raises(OnnxError):
        TensorRTCalibrator(tmp_path / "none.onnx", DATA)
    quantize(model, tmp_path / "q.onnx", DATA)
    with pytest.raises(ModelError, match="quantised already"):
        TensorRTCalibrator(tmp_path / "q.onnx", DATA)


def test_later_batches_that_do_not_fit(tmp_path):
    graph = build([node("Relu", ["x"], ["y"])], [("x", FLOAT, ["n", "m"])], [("y", FLOAT, ["n", "m"])])
    onnx.save(graph, str(tmp_path / "m.onnx"))
    rows = [np.ones(3, np.float32)] * 8 + [np.ones(5, np.float32)] * 8
    calibrator = TensorRTCalibrator(tmp_path / "m.onnx", rows)
    assert calibrator.next()["x"].shape == (8, 3)
    with pytest.raises(UsageError, match=r"one shape(?s:.)*\(8, 5\)(?s:.)*\(8, 3\)"):
        calibrator.next()
    bad = TensorRTCalibrator(save(tmp_path / "n.onnx"), CalibrationData([*DATA[:7], DATA[7] * np.nan], batch_size=4))
    assert bad.next() is not None
    with pytest.raises(UsageError, match="sample 7 has values that are not finite"):
        bad.next()


# --- which product ---------------------------------------------------------------------------------------------------


class Library:
    version_text = "8.6.0"
    strongly_typed = False


class Typed(Library):
    version_text = "11.1.0"
    strongly_typed = True


def test_tensorrt_8_and_10_get_a_calibrator(model, tmp_path):
    target, cache = tmp_path / "m.engine", tmp_path / "m.calib"
    given = {"precision": "int8", "method": "entropy", "cache": cache, "library": Library}
    with prepare_build(model, target, CalibrationData(DATA, batch_size=5), **given) as (path, calibrator):
        assert path == model
        assert calibrator.method == "entropy"
        calibrator.save(text(first="TRT-8600-EntropyCalibration2"))
    with prepare_build(model, target, None, **given) as (_, calibrator):
        assert calibrator.cache.startswith(b"TRT-8600-EntropyCalibration2\nx: ")


def test_tensorrt_11_and_rtx_get_a_quantised_copy(model, tmp_path):
    target, cache = tmp_path / "m.engine", tmp_path / "m.calib"
    given = {"precision": "int8+fp16", "cache": cache, "library": Typed}
    with prepare_build(model, target, DATA, **given) as (path, calibrator):
        assert calibrator is None
        assert path.name == "m.onnx"
        assert path != model
        kinds = [each.op_type for each in onnx.load(str(path)).graph.node]
        assert kinds.count("QuantizeLinear") == 2
    assert not path.exists()
    with pytest.raises(UsageError, match=r"11\.1\.0 has no calibrators"), prepare_build(model, target, None, **given):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]


def test_calibration_is_for_int8(model, tmp_path):
    with pytest.raises(UsageError, match="precision fp16"), prepare_build(
        model, tmp_path / "m.engine", DATA, precision="fp16", cache=tmp_path / "c", library=Library
    ):
        pass
