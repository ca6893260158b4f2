"""hybrid.convert and the class in TF-TRT's shape, in both backends; backend tf2trt's own work is stood in for."""

import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt import hybrid
from tf2trt.errors import UsageError
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.report import EngineReport, HybridReport, NodeReport, SegmentReport
from tf2trt.hybrid.steps import resolve_backend
from tf2trt.hybrid.summary import summary_lines
from tf2trt.specs import ShapeRange

tf = pytest.importorskip("tensorflow")
sys.path.append(str(Path(__file__).parent.parent / "support"))
import tftrt_standin  # noqa: E402

SHAPE = ShapeRange((1, 4), (1, 4), (1, 4))
REPORT = HybridReport(
    "tf2trt",
    "FP16",
    {"tensorflow": "2.17.1"},
    (
        SegmentReport(
            "segment_0",
            tuple(NodeReport(f"n{index}", op) for index, op in enumerate(["Relu", "MatMul", "Relu"])),
            (EngineReport({"x": SHAPE}, "a.engine", 1.25), EngineReport({"x": SHAPE}, None, 0.5, "no kernel for it")),
        ),
    ),
    (NodeReport("odd", "Unique", (), "TensorRT has no Unique"),),
    2.0,
    ("a note",),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": tf.tanh(tf.nn.relu(x) + 1.0) * 2.0}

    path = tmp_path_factory.mktemp("model") / "saved"
    made = Model()
    tf.saved_model.save(made, str(path), signatures=made.__call__)
    return path


@pytest.fixture
def tf2trt_backend(monkeypatch):
    """What convert_saved_model was called with; it copies the model."""
    calls = []

    def convert_saved_model(source, out, options):
        calls.append(options)
        shutil.copytree(source, out)
        return REPORT

    monkeypatch.setitem(
        sys.modules, "tf2trt.hybrid.saved_model", SimpleNamespace(convert_saved_model=convert_saved_model)
    )
    return calls


@pytest.fixture
def tf_trt_backend(monkeypatch):
    module = tftrt_standin.TrtConvert()
    gpu = SimpleNamespace(name="/physical_device:GPU:0")
    monkeypatch.setattr(tf, "__version__", "2.17.1")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    monkeypatch.setattr(
        tf.config, "get_logical_device_configuration", lambda device: [SimpleNamespace(memory_limit=8192)]
    )
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {"compute_capability": (9, 0)})
    monkeypatch.setitem(sys.modules, "tensorflow.python.compiler.tensorrt.trt_convert", module)
    return module


def run(folder, x):
    loaded = tf.saved_model.load(str(folder))
    return loaded.signatures["serving_default"](x=tf.constant(x))["y"].numpy()


def test_a_script_written_for_tf_trt_changes_its_import_only(tf_trt_backend, model, tmp_path):
    params = hybrid.DEFAULT_TRT_CONVERSION_PARAMS._replace(
        precision_mode=hybrid.TrtPrecisionMode.FP16, max_workspace_size_bytes=1 << 28, maximum_cached_engines=2
    )
    converter = hybrid.TrtGraphConverterV2(
        input_saved_model_dir=str(model), conversion_params=params, backend="tf-trt", strict=0.5
    )
    x = np.random.default_rng().normal(size=(2, 4)).astype(np.float32)
    function = converter.convert()
    expected = run(model, x)
    np.testing.assert_array_equal(function(x=tf.constant(x))["y"], expected)
    assert "is built at the first call" in converter.report.segments[0].why_not
    converter.build(input_fn=lambda: iter([[x], [np.ones((1, 4), np.float32)]]))
    report = converter.save(str(tmp_path / "out"))
    np.testing.assert_array_equal(run(tmp_path / "out", x), expected)
    assert report.coverage.node_share == 1.0
    assert converter.report == report
    lines = []
    converter.summary(print_fn=lines.append)
    assert any(line.startswith("TRTEngineOp_000_000") and "2x4" in line for line in lines)
    assert "\t- Relu: 1x" in lines


def test_engines_can_be_left_out_of_the_saved_model(tf_trt_backend, model, tmp_path):
    converter = hybrid.TrtGraphConverterV2(str(model), backend="tf-trt")
    converter.convert()
    converter.build(lambda: [np.ones((2, 4), np.float32)])
    report = converter.save(tmp_path / "out", save_gpu_specific_engines=False)
    assert "save_gpu_specific_engines=False" in report.segments[0].reason


def test_backend_tf2trt_converts_once_when_the_shapes_are_known(tf2trt_backend, model, tmp_path):
    converter = hybrid.TrtGraphConverterV2(str(model), precision_mode="fp16", backend="tf2trt", strict=0.25)
    function = converter.convert()
    assert tf2trt_backend == []

    def input_fn():
        yield [np.ones((1, 4), np.float32)]

    converter.build(input_fn=input_fn)
    (options,) = tf2trt_backend
    assert (options.input_fn, options.precision, options.strict) == (input_fn, "fp16", 0.25)
    x = np.random.default_rng().normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(function(x=tf.constant(x))["y"], run(model, x))
    assert converter.save(tmp_path / "out") is REPORT
    np.testing.assert_array_equal(run(tmp_path / "out", x), run(model, x))
    assert len(tf2trt_backend) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_backend_tf2trt_without_build(tf2trt_backend, model, tmp_path):
    converter = hybrid.TrtGraphConverterV2(str(model), backend="tf2trt")
    converter.convert()
    converter.save(tmp_path / "out")
    assert [options.input_fn for options in tf2trt_backend] == [None]
    with pytest.raises(UsageError, match="build after"):
        converter.build(list)
    with pytest.raises(UsageError, match="save_gpu_specific_engines"):
        converter.save(tmp_path / "out", save_gpu_specific_engines=False)


def test_int8_takes_its_calibration_data_in_convert(tf2trt_backend, model):
    def data():
        yield [np.ones((1, 4), np.float32)]

    converter = hybrid.TrtGraphConverterV2(str(model), precision_mode="INT8", backend="tf2trt")
    with pytest.raises(UsageError, match="INT8 without calibration data"):
        converter.convert()
    converter.convert(calibration_input_fn=data)
    assert converter.report is REPORT
    assert tf2trt_backend[0].calibration_data is data
    with pytest.raises(UsageError, match="calibration_input_fn"):
        hybrid.TrtGraphConverterV2(str(model), backend="tf2trt").convert(calibration_input_fn=data)


def test_steps_out_of_order_are_refused(tf2trt_backend, model, tmp_path):
    with pytest.raises(UsageError, match="input_saved_model_dir"):
        hybrid.TrtGraphConverterV2()
    converter = hybrid.TrtGraphConverterV2(str(model), backend="tf2trt")
    for step in (lambda: converter.build(list), lambda: converter.save(tmp_path / "out"), converter.summary):
        with pytest.raises(UsageError, match="before convert"):
            step()
    converter.convert()
    with pytest.raises(UsageError, match="already"):
        converter.convert()
    converter.build(list)
    with pytest.raises(UsageError, match="already"):
        converter.build(list)
    with pytest.raises(UsageError, match="line_length"):
        converter.summary(line_length=80)


def test_options_by_name_win_and_unknown_ones_are_listed(tf2trt_backend, model, tmp_path):
    report = hybrid.convert(
        model, tmp_path / "out", HybridOptions(precision_mode="FP16", backend="tf2trt"), minimum_segment_size=7
    )
    assert report is REPORT
    (options,) = tf2trt_backend
    assert (options.precision_mode, options.minimum_segment_size) == ("FP16", 7)
    with pytest.raises(UsageError, match="precision_mod") as caught:
        hybrid.convert(model, tmp_path / "out", precision_mod="FP16")
    assert "minimum_segment_size" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "backend"), [("2.15.0", "tf-trt"), ("2.16.1", "tf2trt"), ("2.17.1", "tf2trt"), ("2.21.0-rc1", "tf2trt")]
)
def test_auto_is_tf_trt_where_our_own_backend_is_not_for(monkeypatch, version, backend):
    monkeypatch.setattr(tf, "__version__", version)
    assert resolve_backend(HybridOptions()) == backend
    assert resolve_backend(HybridOptions(backend="tf-trt")) == "tf-trt"
    monkeypatch.delitem(sys.modules, "tensorflow")  # not imported for this: how it is decides about TF-TRT's warnings
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    assert resolve_backend(HybridOptions()) == backend
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    "wrong",
    [
        {"precision_mode": "FP8"},
        {"precision_mode": 16},
        {"max_workspace_size_bytes": 0},
        {"max_workspace_size_bytes": 1e9},
        {"minimum_segment_size": True},
        {"maximum_cached_engines": -1},
        {"input_fn": [1]},
        {"calibration_input_fn": list},
        {"backend": "tensorrt"},
        {"strict": 95},
        {"tags": "serve"},
        {"dynamic_shape_profile_strategy": "ImplicitBatchModeCompatible"},
        {"dynamic_shape_profile_strategy": "Optimal"},  # without use_dynamic_shape it would do nothing
    ],
)
def test_options_that_cannot_work(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        HybridOptions(**wrong)


def test_options_take_numpy_s_numbers_and_small_letters():
    options = HybridOptions(
        precision_mode="int8",
        max_workspace_size_bytes=np.int64(4096),
        use_dynamic_shape=True,
        dynamic_shape_profile_strategy="optimal",
    )
    assert (options.precision_mode, options.precision) == ("INT8", "int8+fp16")
    assert type(options.max_workspace_size_bytes) is int
    assert options.dynamic_shape_profile_strategy == "Optimal"
    assert not HybridOptions(precision_mode="INT8", use_calibration=False).calibrated


def test_the_summary_names_engines_failures_and_reasons():
    lines = list(summary_lines(REPORT))
    text = "\n".join(lines)
    assert "x: 1x4: no kernel for it" in text
    assert "[*] Total number of TensorRT engines: 1 (1 failed)" in lines
    assert "[*] native: 1x TensorRT has no Unique" in lines
    assert "[*] % of OPs Converted: 0.00% [0/4]" in lines  # a segment with a failed engine does not count
    assert "[*] a note" in lines
    assert "\t- Relu: 2x" in lines
    assert not any("Relu" in line for line in summary_lines(REPORT, detailed=False))
    assert max(map(len, lines)) == 160


def test_the_public_names_are_functions_and_classes_whatever_was_imported():
    names = [module.name for module in pkgutil.iter_modules(hybrid.__path__)]
    assert not set(names) & set(hybrid.__all__)
    assert all(callable(getattr(hybrid, name)) or name.isupper() for name in hybrid.__all__)


def test_importing_the_room_brings_in_no_heavy_package():
    heavy = ["tensorflow", "onnx", "tf2onnx", "rich", "click", "onnx_graphsurgeon"]
    code = (
        "import sys; from tf2trt import hybrid; hybrid.convert; hybrid.HybridOptions(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout.strip() == "[]"
