"""Backend tf-trt, against a stand-in for TensorFlow 2.17's converter (tests/support/tftrt_standin.py)."""

import inspect
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt import hybrid
from tf2trt.errors import (
    BuildError,
    DeviceError,
    InputError,
    LibraryNotFoundError,
    ModelError,
    OutputError,
    UnsupportedVersionError,
    UsageError,
)
from tf2trt.export.quiet import import_tensorflow

tf = import_tensorflow()
sys.path.append(str(Path(__file__).parent.parent / "support"))
import tftrt_standin as standin  # noqa: E402

MODULE = "tensorflow.python.compiler.tensorrt.trt_convert"
REFUSED = {"Unique": "The operation is not supported by TF-TRT | at all"}
FIRST, SECOND = "TRTEngineOp_000_000", "TRTEngineOp_000_001"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """x (?x?) to y: four operators, Unique, which TensorRT does not take, and four more."""

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(np.random.default_rng(0).normal(size=()).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def __call__(self, x):
            first = tf.tanh(tf.nn.relu(x * self.weight) + 1.0)
            middle = tf.unique(tf.reshape(first, [-1]))[0]
            return {"y": tf.sigmoid(tf.abs(tf.square(middle)) - 2.0)}

    path = tmp_path_factory.mktemp("model") / "saved"
    made = Model()
    tf.saved_model.save(made, str(path), signatures=made.__call__)
    return path


@pytest.fixture
def install(monkeypatch):
    """install(**facts): TensorFlow 2.17.1 with a GPU of ``memory`` MiB and the stand-in."""

    def put(version="2.17.1", gpus=1, memory=4096, capability=(8, 9), built=True, **facts):
        module = standin.TrtConvert(**{"refused": REFUSED, **facts})
        gpu = [SimpleNamespace(name=f"/physical_device:GPU:{index}") for index in range(gpus)]
        limits = [SimpleNamespace(memory_limit=memory)]
        monkeypatch.setattr(tf, "__version__", version)
        monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: {"is_tensorrt_build": built})
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpu if kind == "GPU" else [])
        monkeypatch.setattr(tf.config, "get_logical_device_configuration", lambda device: limits)
        details = {"compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
        monkeypatch.setitem(sys.modules, MODULE, module)
        return module

    return put


def batches(*shapes):
    seed = int(np.random.SeedSequence().entropy % 2**32)
    print("seed", seed)
    rng = np.random.default_rng(seed)
    return lambda: ([rng.normal(size=shape).astype(np.float32)] for shape in shapes)


def convert(model, tmp_path, **options):
    return hybrid.convert(model, tmp_path / "out", backend="tf-trt", **options)


def outcome(report, name):
    segment = next(each for each in report.segments if each.name == name)
    return [(engine.built, tuple(next(iter(engine.shapes.values())).max)) for engine in segment.engines]


def test_engines_are_counted_for_each_input_shape_and_the_rest_has_reasons(install, model, tmp_path):
    install()
    report = convert(model, tmp_path, input_fn=batches((2, 3), (4, 3), (1, 3), (2, 3)), maximum_cached_engines=4)
    assert [segment.name for segment in report.segments] == [FIRST, SECOND]
    assert outcome(report, FIRST) == [(True, (2, 3)), (True, (4, 3))]  # batch 1 runs in the engine for batch 4 or 2
    assert all(engine.file == f"trt-serialized-engine.{FIRST}" for engine in report.segments[0].engines)
    assert (tmp_path / "out" / "assets" / f"trt-serialized-engine.{FIRST}").is_file()
    native = {node.op: node.reason for node in report.native}
    assert native["Unique"] == REFUSED["Unique"]
    # Seen from its nodes, the graph is the one that was cut: each reads what it read before.
    nodes = {node.name: node for node in (*report.native, *report.segments[0].nodes, *report.segments[1].nodes)}
    ops = {node.op: node for node in nodes.values()}
    read = {op: [nodes[name].op for name in ops[op].inputs if nodes[name].op != "Const"] for op in ops}
    assert (read["Unique"], read["Square"], read["Relu"]) == (["Reshape"], ["Unique"], ["Mul"])
    assert "Sigmoid" in [nodes[name].op for node in report.native for name in node.inputs]
    assert report.versions == {"tensorflow": "2.17.1", "tensorrt": "8.6.1"}
    assert 0 < report.coverage.node_share < 1
    x = np.random.default_rng().normal(size=(2, 3)).astype(np.float32)
    before, after = (tf.saved_model.load(str(folder)) for folder in (model, tmp_path / "out"))
    answers = [loaded.signatures["serving_default"](x=tf.constant(x))["y"] for loaded in (before, after)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("quiet", [False, True])
def test_an_engine_that_fails_is_counted_even_where_the_log_is_off(install, model, tmp_path, quiet):
    reason = "INTERNAL: Failed to build TensorRT engine"
    install(fails=lambda name, shapes: reason if name == SECOND and shapes[0][0] == 4 else None, quiet=quiet)
    report = convert(model, tmp_path, input_fn=batches((2, 3), (4, 3)), maximum_cached_engines=4)
    assert outcome(report, FIRST) == [(True, (2, 3)), (True, (4, 3))]
    assert outcome(report, SECOND) == [(True, (2, 3)), (False, (4, 3))]
    assert not report.segments[1].built
    said = report.segments[1].engines[1].reason
    assert ("logged no reason" in said) if quiet else (said == reason)
    assert any("TF_CPP_MIN_LOG_LEVEL" in note for note in report.notes) == quiet


def test_failures_beyond_those_that_tf_trt_logs_are_counted(install, model, tmp_path):
    install(fails=lambda name, shapes: "INTERNAL: no kernel")
    shapes = [(batch, 3) for batch in range(1, 8)]
    report = convert(model, tmp_path, input_fn=batches(*shapes), maximum_cached_engines=8)
    for segment in report.segments:
        assert [engine.built for engine in segment.engines] == [False] * len(shapes)
    assert report.coverage.converted == 0


def test_an_engine_that_a_later_one_pushes_out_is_told(install, model, tmp_path):
    install()
    report = convert(model, tmp_path, input_fn=batches((2, 3), (2, 5)))
    engines = report.segments[0].engines
    assert sorted(engine.built for engine in engines) == [False, True]
    assert all("maximum_cached_engines=1" in engine.reason for engine in engines if not engine.built)


def test_strict_leaves_nothing_behind(install, model, tmp_path):
    install(fails=lambda name, shapes: "INTERNAL: no kernel")
    with pytest.raises(ModelError, match="no kernel"):
        convert(model, tmp_path, input_fn=batches((2, 3)), strict=0.5)
    assert list(tmp_path.iterdir()) == []


def test_without_an_input_fn_engines_are_left_to_run_time(install, model, tmp_path):
    install()
    report = convert(model, tmp_path)
    assert "built at the first call" in report.segments[0].reason
    with pytest.raises(UsageError, match="no engine could ever be built"):
        convert(model, tmp_path, allow_build_at_runtime=False)


def test_one_engine_for_a_range_of_shapes(install, model, tmp_path):
    install()
    report = convert(model, tmp_path, input_fn=batches((2, 3), (8, 3), (1, 3)), use_dynamic_shape=True)
    (engine,) = report.segments[0].engines
    shapes = engine.shapes["x"]
    assert (shapes.min, shapes.opt, shapes.max) == ((1, 3), (2, 3), (8, 3))


def test_int8_is_calibrated_with_batches_of_one_shape(install, model, tmp_path):
    module = install()
    with pytest.raises(UsageError, match="calibration data"):
        convert(model, tmp_path, precision_mode="INT8")
    passes = []

    def uneven():
        passes.append(len(passes))
        return batches((4, 3), (3, 3))()

    with pytest.raises(InputError, match="batch 2 has other shapes than the first") as caught:
        convert(model, tmp_path, precision_mode="INT8", calibration_input_fn=uneven)
    assert passes == [0]  # TF-TRT, whose calibration cannot be stopped halfway, was not given any
    assert "x: 3x3" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    report = convert(model, tmp_path, precision_mode="INT8", calibration_input_fn=batches((4, 3), (4, 3)))
    assert [engine.built for engine in report.segments[0].engines] == [True]
    assert module.calls == []


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"version": "2.18.0"}, UnsupportedVersionError, "taken out in 2.18"),
        ({"enabled": False}, LibraryNotFoundError, "libnvinfer.so.8.6.1"),
        ({"enabled": False, "built": False}, UnsupportedVersionError, "built without TensorRT"),
        ({"loaded": (10, 3, 0)}, UnsupportedVersionError, "TensorRT 8.6, as linked"),
        ({"loaded": (8, 5, 3)}, UnsupportedVersionError, "TensorRT 8.5.3"),
        ({"gpus": 0}, DeviceError, "sees no GPU"),
        ({"memory": 1024}, UsageError, "less than 1,073,741,824 bytes"),
    ],
)
def test_surroundings_that_cannot_work_are_refused_first(install, model, tmp_path, given, error, text):
    module = install(**given)
    with pytest.raises(error) as caught:
        convert(model, tmp_path)
    assert text in str(caught.value)
    assert module.converters == 0
    assert list(tmp_path.iterdir()) == []


def test_options_that_cannot_work_are_refused_first(install, model, tmp_path):
    module = install(capability=(5, 2))
    for options in ({"precision_mode": "BF16"}, {"precision_mode": "FP16"}, {"signature": "missing"}):
        with pytest.raises(UsageError):
            convert(model, tmp_path, **options)
    with pytest.raises(UsageError, match="there is no SavedModel"):
        hybrid.convert(tmp_path, tmp_path / "out", backend="tf-trt")
    with pytest.raises(UsageError, match="replace the model"):
        hybrid.convert(model, model, backend="tf-trt")
    (tmp_path / "mine").write_text("other things")
    with pytest.raises(OutputError, match="holds other things"):
        hybrid.convert(model, tmp_path, backend="tf-trt")
    assert module.converters == 0


def test_an_older_patch_release_is_let_through_with_a_note(install, model, tmp_path):
    module = install(loaded=(8, 6, 0))
    report = convert(model, tmp_path, input_fn=batches((2, 3)))
    assert report.segments[0].built
    assert any("8.6.1" in note and "8.6.0" in note for note in report.notes)
    with pytest.raises(RuntimeError):
        module._check_trt_version_compatibility()  # TensorFlow's own check is back


def test_batches_that_do_not_fit_are_refused_and_nothing_is_left(install, model, tmp_path):
    install()
    bad = {
        "other names": [{"z": np.ones((2, 3), np.float32)}],
        "has 2 arrays": [[np.ones((2, 3), np.float32)] * 2],
        "does not fit input 'x'": [np.ones((2, 3), np.int32)],
        "gave no batch": [],
    }
    for text, given in bad.items():
        with pytest.raises(UsageError, match=text):
            convert(model, tmp_path, input_fn=lambda given=given: iter(given))
    with pytest.raises(UsageError, match="nothing to iterate over"):
        convert(model, tmp_path, input_fn=lambda: 3)
    assert list(tmp_path.iterdir()) == []
    report = convert(model, tmp_path, input_fn=lambda: [{"x": np.ones((2, 3), np.float32)}])
    assert report.segments[0].built


def test_an_error_of_tensorflow_s_comes_with_what_tensorrt_logged(install, model, tmp_path, monkeypatch):
    module = install()

    def fail(self, input_fn):
        standin.write_log("E", "utils/trt_logger.cc:87", "DefaultLogger 2: Out of memory requested 12 bytes")
        raise tf.errors.InternalError(None, None, "Failed to feed calibration data")

    monkeypatch.setattr(module.TrtGraphConverterV2, "build", fail)
    with pytest.raises(BuildError) as caught:
        convert(model, tmp_path, input_fn=batches((2, 3)))
    assert "Failed to feed calibration data" in str(caught.value)
    assert "Out of memory requested 12 bytes" in str(caught.value)


def test_standard_error_keeps_what_is_not_tensorflow_s(install, model, tmp_path, capfd):
    install()

    def input_fn():
        os.write(2, b"from the user's own code\n")
        yield np.ones((2, 3), np.float32)

    level = tf.get_logger().level
    handlers = list(tf.get_logger().handlers)
    capfd.readouterr()
    convert(model, tmp_path, input_fn=input_fn)
    assert capfd.readouterr().err == "from the user's own code\n"
    assert (tf.get_logger().level, tf.get_logger().handlers) == (level, handlers)
    assert "TF_TRT_SHOW_DETAILED_REPORT" not in os.environ


def test_tensorflow_s_temporary_engines_are_not_left_behind(install, model, tmp_path, monkeypatch):
    install()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(standin.real_tempfile, "tempdir", str(tmp_path / "temporary"))
    convert(model, tmp_path, input_fn=batches((2, 3)))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_real_module_of_this_tensorflow_has_what_is_used():
    from tensorflow.python.compiler.tensorrt import trt_convert

    theirs = inspect.signature(trt_convert.TrtGraphConverterV2.__init__).parameters
    ours = inspect.signature(hybrid.TrtGraphConverterV2.__init__).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert set(inspect.signature(standin._Converter.__init__).parameters) - {"module"} == set(theirs) - {
        "conversion_params"
    }
    for name in ("convert", "build", "save", "summary"):
        mine, its = (getattr(each, name) for each in (hybrid.TrtGraphConverterV2, trt_convert.TrtGraphConverterV2))
        assert list(inspect.signature(mine).parameters) == list(inspect.signature(its).parameters)
    for name in ("_check_trt_version_compatibility", "tempfile", "gen_trt_ops", "_pywrap_py_utils"):
        assert hasattr(trt_convert, name)
    for name in ("is_tensorrt_enabled", "get_linked_tensorrt_version", "get_loaded_tensorrt_version"):
        assert callable(getattr(trt_convert._pywrap_py_utils, name))
    assert "_converted_graph_def" in inspect.getsource(trt_convert.TrtGraphConverterV2)
    fields = trt_convert.TrtConversionParams._fields
    assert hybrid.TrtConversionParams._fields == fields


def test_the_installed_tensorflow_is_refused_by_name(model, tmp_path):
    if tuple(int(part) for part in tf.__version__.split(".")[:2]) <= (2, 17):
        pytest.skip(f"TensorFlow {tf.__version__} may have TF-TRT")
    with pytest.raises(UnsupportedVersionError, match=f"TensorFlow {tf.__version__}"):
        convert(model, tmp_path)
