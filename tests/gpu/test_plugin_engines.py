"""tf2trt's plugins inside engines, against float64. One engine of a type holds every rank and set of axes."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import OnnxError, PluginError
from tf2trt.runtime import Engine
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange
from tf2trt.surgery.plugins.functions import OPERATORS, add_functions

LENGTHS = (1, 2, 3, 7, 31, 32, 33, 100, 1000, 4096, 65537)
ROWS = 8  # of the input with special rows
# (shape with n for the length, axes): the axis first, in the middle, last, several, and not side by side.
LAYOUTS = (
    (("n",), (0,)),
    ((ROWS, "n"), (1,)),
    (("n", 3), (0,)),
    ((2, "n", 3), (1,)),
    ((2, 3, "n"), (-1,)),
    ((2, "n", 3), (0, 2)),
    ((3, "n", 2), (1, 2)),
    ((2, "n", 3, 2), (1,)),
    ((2, 3, "n", 2), (0, 2)),
    ((2, "n", 2, 2), (1, 2, 3)),
    ((2, 2, 3, 1, "n"), (4,)),
    (("n", 2, 3, 2, 2), (0, 2, 4)),
    ((1, 2, "n", 2, 3), (2, 3)),
)
EPSILON = 1e-12
ALPHA = 0.1
DTYPES = {
    "fp32": (np.float32, TensorProto.FLOAT, 2e-6, 1e16, 1e-40),
    "fp16": (np.float16, TensorProto.FLOAT16, 1e-3, 6e4, 6e-8),
}
USER_PLUGINS = Path(os.environ.get("TF2TRT_USER_PLUGINS", "build/tests/cpp/user_plugin/libmy_plugins.so")).absolute()


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture(scope="module", params=list(DTYPES))
def dtype(request):
    return request.param


@pytest.fixture(scope="module")
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


def plugin(op, source, result, space="tf2trt", **attributes):
    return helper.make_node(
        op, [source], [result], name=result, domain=space, plugin_version="1", plugin_namespace=space, **attributes
    )


def save(path, nodes, inputs, outputs):
    graph = helper.make_graph(nodes, "plugins", inputs, outputs)
    opsets = [helper.make_opsetid(domain, 1) for domain in {node.domain for node in nodes}]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15), *opsets], ir_version=8)
    onnx.save(model, str(path))
    return path


def shape_for(layout, length):
    return tuple(length if extent == "n" else extent for extent in layout)


def network(path, make_node, layouts, dtype):
    """A model that hands each input x0, x1, ... through one plugin to y0, y1, ...; all lengths are dynamic."""
    element = DTYPES[dtype][1]
    nodes, inputs, outputs = [], [], []
    for index, layout in enumerate(layouts):
        nodes.append(make_node(index, f"x{index}", f"y{index}"))
        inputs.append(helper.make_tensor_value_info(f"x{index}", element, layout))
        outputs.append(helper.make_tensor_value_info(f"y{index}", element, layout))
    return save(path, nodes, inputs, outputs)


def built(folder, make_node, layouts, dtype, library):
    profile = {
        f"x{index}": ShapeRange(*(shape_for(layout, n) for n in (1, 100, max(LENGTHS))))
        for index, layout in enumerate(layouts)
    }
    model = network(folder / "m.onnx", make_node, layouts, dtype)
    return build_engine(model, folder / "m.engine", BuildOptions(precision=dtype, profiles=(profile,)), library=library)


@pytest.fixture(scope="module")
def l2_report(dtype, library, tmp_path_factory):
    def node(index, source, result):
        return plugin("L2Normalize", source, result, axes=LAYOUTS[index][1], epsilon=EPSILON)

    return built(tmp_path_factory.mktemp("l2"), node, [layout for layout, _ in LAYOUTS], dtype, library)


@pytest.fixture(scope="module")
def l2_engine(l2_report):
    with Engine.load(l2_report.engine) as engine:
        yield engine


def l2_reference(x, axes):
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.square(x).sum(axis=axes, keepdims=True)
        # A NaN stays NaN; an infinite sum gives 0, and 0 times infinity NaN.
        return x / np.sqrt(np.maximum(total, np.float64(np.float32(EPSILON))))


def same(out, reference, tolerance):
    """NaN in the same places; the rest under the tolerance, relative to the whole."""
    assert out.shape == reference.shape
    np.testing.assert_array_equal(np.isnan(out), np.isnan(reference))
    finite = ~np.isnan(reference)
    difference = out[finite].astype(np.float64) - reference[finite]
    assert np.linalg.norm(difference) <= tolerance * np.linalg.norm(reference[finite])


def values(rng, shape, dtype):
    return rng.standard_normal(shape, np.float32).astype(DTYPES[dtype][0])


def special_rows(rng, length, dtype):
    """Zeros, denormals, the type's large values, a NaN, an infinity, and rows around epsilon, among ordinary ones."""
    storage, _, _, large, denormal = DTYPES[dtype]
    x = rng.standard_normal((ROWS, length), np.float32)
    x[1], x[2], x[3] = 0, denormal, np.sign(x[3]) * large
    x[4, length // 2], x[5, length // 3] = np.nan, np.inf
    x[6] *= 1e-6
    return x.astype(storage)


@pytest.mark.parametrize("length", LENGTHS)
def test_l2_normalize_over_ranks_and_axes(l2_engine, dtype, rng, length):
    feeds = {f"x{i}": values(rng, shape_for(layout, length), dtype) for i, (layout, _) in enumerate(LAYOUTS)}
    feeds["x1"] = special_rows(rng, length, dtype)
    for _ in range(3):  # enqueued, captured into a CUDA graph, replayed
        results = l2_engine(feeds)
        for index, (_, axes) in enumerate(LAYOUTS):
            if index != 1:
                same(results[f"y{index}"], l2_reference(feeds[f"x{index}"], axes), DTYPES[dtype][2])
        for row, special in zip(results["y1"], feeds["x1"]):
            same(row, l2_reference(special, 0), 2 * DTYPES[dtype][2])
        assert (results["y1"][1] == 0).all()


def test_the_sidecar_records_the_plugin_library(l2_report):
    (entry,) = Sidecar.read(l2_report.engine).plugins
    assert entry["file"] == "libtf2trt_plugins.so"
    assert len(entry["sha256"]) == 64
    assert l2_report.lowered == ()


@pytest.mark.parametrize("length", LENGTHS)
def test_leaky_relu_over_ranks(dtype, library, rng, length, leaky_engine):
    feeds = {f"x{i}": values(rng, shape_for(layout, length), dtype) for i, (layout, _) in enumerate(LAYOUTS)}
    feeds["x1"] = special_rows(rng, length, dtype)
    for _ in range(3):
        results = leaky_engine(feeds)
        for name, x in feeds.items():
            wide = x.astype(np.float64)
            reference = np.where(wide < 0, np.float64(np.float32(ALPHA)) * wide, wide)
            out = results["y" + name[1:]]
            np.testing.assert_array_equal(np.isinf(out), np.isinf(reference))
            finite = ~np.isinf(reference)
            same(out[finite], reference[finite], DTYPES[dtype][2])


@pytest.fixture(scope="module")
def leaky_engine(dtype, library, tmp_path_factory):
    def node(_, source, result):
        return plugin("LeakyReLU", source, result, alpha=ALPHA)

    report = built(tmp_path_factory.mktemp("leaky"), node, [layout for layout, _ in LAYOUTS], dtype, library)
    with Engine.load(report.engine) as engine:
        yield engine


def test_lp_normalization_gives_zeros_for_zero_rows(library, tmp_path):
    nodes = [plugin("L2Normalize", "x", "y", axes=[1], epsilon=0.0, lp_normalization=1)]
    value = helper.make_tensor_value_info
    model = save(tmp_path / "m.onnx", nodes, [value("x", 1, [4, 5])], [value("y", 1, [4, 5])])
    report = build_engine(model, tmp_path / "m.engine", library=library)
    x = np.ones((4, 5), np.float32)
    x[1] = 0
    x[2] = 1e-12
    with Engine.load(report.engine) as engine:
        y = engine(x)
    assert (y[1] == 0).all()
    np.testing.assert_allclose(y[[0, 2, 3]], 1 / np.sqrt(5), rtol=1e-6)


def test_a_file_with_functions_gives_what_onnx_runtime_gives(library, tmp_path, rng):
    """As the surgery writes it: the functions run in ONNX Runtime, the plugins in TensorRT."""
    value = helper.make_tensor_value_info
    nodes = [plugin("L2Normalize", "x", "n", axes=[2], epsilon=1e-3), plugin("LeakyReLU", "n", "y", alpha=0.3)]
    model = onnx.load(str(save(tmp_path / "m.onnx", nodes, [value("x", 1, ["n", 2, 2])], [value("y", 1, ["n", 2, 2])])))
    add_functions(model, OPERATORS)
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "m.onnx"))
    profile = {"x": ShapeRange((1, 2, 2), (8, 2, 2), (32, 2, 2))}
    report = build_engine(
        tmp_path / "m.onnx", tmp_path / "m.engine", BuildOptions(profiles=(profile,)), library=library
    )
    x = rng.standard_normal((32, 2, 2), np.float32)
    x[3] = 0
    x[4] *= 1e-2
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    with Engine.load(report.engine) as engine:
        same(engine(x), session.run(None, {"x": x})[0].astype(np.float64), 2e-6)


def test_eight_contexts_at_once(library, dtype, rng, tmp_path, primary):
    storage, _, tolerance, _, _ = DTYPES[dtype]
    layouts = [shape_for(layout, 1000) for layout, _ in LAYOUTS]
    shapes = {f"x{i}": shape for i, shape in enumerate(layouts)}

    def node(index, source, result):
        return plugin("L2Normalize", source, result, axes=LAYOUTS[index][1], epsilon=EPSILON)

    model = network(tmp_path / "m.onnx", node, layouts, dtype)
    report = build_engine(model, tmp_path / "m.engine", BuildOptions(precision=dtype), library=library)
    with primary:
        loaded = [_native.Engine.deserialize(library, report.engine.read_bytes())]

    def run(seed):
        feeds = {name: values(np.random.default_rng(seed), shape, dtype) for name, shape in shapes.items()}
        with primary:
            driver = primary.driver
            context, stream = loaded[0].create_context(), driver.Stream()
            memory = {}
            for name, x in feeds.items():
                for tensor in (name, "y" + name[1:]):
                    memory[tensor] = driver.mem_alloc(x.nbytes)
                    context.set_tensor_address(tensor, int(memory[tensor]))
                driver.memcpy_htod(memory[name], x)
            for _ in range(50):
                context.enqueue(stream.handle)
            stream.synchronize()
            results = {}
            for name, x in feeds.items():
                results[name] = np.empty(x.shape, storage)
                driver.memcpy_dtoh(results[name], memory["y" + name[1:]])
            for allocation in memory.values():
                allocation.free()
            del context, stream
        for index, (_, axes) in enumerate(LAYOUTS):
            same(results[f"x{index}"], l2_reference(feeds[f"x{index}"], axes), tolerance)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, rng.integers(0, 1 << 30, 8)))
    with primary:  # TensorRT gives its memory back in the context that is current
        loaded.clear()


def test_a_wrong_axis_fails_the_build(library, tmp_path):
    value = helper.make_tensor_value_info
    nodes = [plugin("L2Normalize", "x", "y", axes=[3])]
    model = save(tmp_path / "m.onnx", nodes, [value("x", 1, [4, 5])], [value("y", 1, [4, 5])])
    with pytest.raises(OnnxError, match="plugin L2Normalize: axes: received 3 for a tensor of rank 2"):
        build_engine(model, tmp_path / "m.engine", library=library)


def test_the_c_plus_plus_program_finds_the_plugins(library, tmp_path, rng):
    value = helper.make_tensor_value_info
    nodes = [plugin("L2Normalize", "x", "n", axes=[1]), plugin("LeakyReLU", "n", "y", alpha=0.3)]
    model = save(tmp_path / "m.onnx", nodes, [value("x", 1, [4, 100])], [value("y", 1, [4, 100])])
    report = build_engine(model, tmp_path / "m.engine", library=library)
    x = rng.standard_normal((4, 100), np.float32)
    np.save(tmp_path / "x.npy", x)
    program = os.environ.get("TF2TRT_RUN", "build/tf2trt-run")
    without_variable = {name: text for name, text in os.environ.items() if name != "TF2TRT_PLUGINS_LIBRARY"}
    done = subprocess.run(
        [program, str(report.engine), f"x={tmp_path / 'x.npy'}", "--output", str(tmp_path)],
        env={**without_variable, "TF2TRT_NVINFER": library.path}, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Engine.load(report.engine) as engine:
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), engine(x))


@pytest.fixture
def repeated(tmp_path):
    """A network of a user's own operator, in libmy_plugins.so."""
    assert USER_PLUGINS.is_file(), f"{USER_PLUGINS} is missing: build the C++ tests, or name it in TF2TRT_USER_PLUGINS"
    value = helper.make_tensor_value_info
    nodes = [plugin("Repeat", "x", "y", space="my.plugins", times=3)]
    return save(tmp_path / "m.onnx", nodes, [value("x", 1, [2, 4])], [value("y", 1, [2, 12])])


def test_a_plugin_library_of_the_users(repeated, library, tmp_path, rng):
    options = BuildOptions(plugin_libraries=(USER_PLUGINS,))
    report = build_engine(repeated, tmp_path / "m.engine", options, library=library)
    assert [entry["file"] for entry in report.sidecar.plugins] == [USER_PLUGINS.name]
    x = rng.standard_normal((2, 4), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Engine.load(report.engine, plugin_libraries=[USER_PLUGINS]) as engine:
            np.testing.assert_array_equal(engine(x), np.tile(x, (1, 3)))
    with pytest.raises(PluginError, match="needs the plugin library libmy_plugins"):
        Engine.load(report.engine)


def test_the_command_line_takes_plugin_libraries(repeated, library, tmp_path):
    def tf2trt(*arguments):
        code = "import sys; from tf2trt.cli import main; sys.exit(main(sys.argv[1:]))"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "TF2TRT_NVINFER": library.path}, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip

    engine = tmp_path / "m.engine"
    without = tf2trt("build", repeated, "-o", engine)
    assert without.returncode == 1, without.stdout
    assert "Repeat" in without.stderr
    done = tf2trt("build", repeated, "-o", engine, "--plugin-library", USER_PLUGINS)
    assert done.returncode == 0, done.stderr
    assert USER_PLUGINS.name in done.stdout
    missing = tf2trt("run", engine, "--random")
    assert missing.returncode == 1
    assert USER_PLUGINS.name in missing.stderr
    done = tf2trt("run", engine, "--random", "--plugin-library", USER_PLUGINS)
    assert done.returncode == 0, done.stderr
