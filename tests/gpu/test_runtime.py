"""The runtime on a real GPU, against ONNX Runtime. Small models, so that each builds in seconds."""

import dataclasses
import gc
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import EngineDeviceError, EngineError, EngineVersionError, InputError
from tf2trt.runtime import Engine
from tf2trt.sidecar import Sidecar, sidecar_path
from tf2trt.specs import ShapeRange

FP32, FP16 = 1e-4, 2e-2


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture(scope="module", autouse=True)
def everything_was_given_back():
    gc.collect()
    before = _native.live_objects()
    yield
    gc.collect()
    assert _native.live_objects() == before


@pytest.fixture(autouse=True)
def no_context_is_left_pushed():
    driver = pytest.importorskip("pycuda.driver")
    assert driver.Context.get_current() is None
    yield
    assert driver.Context.get_current() is None


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def save(path, nodes, inputs, outputs, **constants):
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def weights(*shape):
    return np.random.default_rng(1).normal(scale=0.3, size=shape).astype(np.float32)


def conv_relu(path):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    shapes = [value("x", [1, 3, 16, 16])], [value("y", [1, 8, 16, 16])]
    return save(path, nodes, *shapes, w=weights(8, 3, 3, 3), b=weights(8))


def dynamic_matmul(path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Tanh", ["m"], ["y"])]
    return save(path, nodes, [value("x", ["n", 32])], [value("y", ["n", 16])], w=weights(32, 16))


def two_by_two(path):
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    inputs = [value("a", ["n", 5]), value("b", ["n", 5])]
    return save(path, nodes, inputs, [value("sum", ["n", 5]), value("difference", ["n", 5])])


def gather(path):
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"], axis=0)]
    return save(path, nodes, [value("ids", [6], TensorProto.INT32)], [value("y", [6, 4])], table=weights(10, 4))


def profile(*shape, names=("x",), batches=(1, 4, 16)):
    return {name: ShapeRange(*((batch, *shape) for batch in batches)) for name in names}


@pytest.fixture(scope="module")
def build(library, tmp_path_factory):
    """build(make, **options): the plan of a model, built once for the module."""
    plans = {}

    def once(make, **options):
        key = make.__name__, repr(sorted(options.items()))
        if key not in plans:
            folder = tmp_path_factory.mktemp(make.__name__)
            model, output = make(folder / "m.onnx"), folder / "m.engine"
            plans[key] = build_engine(model, output, BuildOptions(**options), library=library).engine
        return plans[key]

    return once


def reference(engine, feeds):
    model = str(engine.path.parent / "m.onnx")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def error(out, ref):
    assert out.shape == ref.shape
    assert out.dtype == ref.dtype
    return np.linalg.norm(out.astype(np.float64) - ref) / np.linalg.norm(ref)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", FP32), ("tf32", 2e-3), ("fp16", FP16)])
def test_convolution_against_onnx_runtime(build, library, precision, limit):
    if precision == "fp16" and library.strongly_typed:
        precision = "fp32"  # the graph's own types count there
    with Engine.load(build(conv_relu, precision=precision)) as engine:
        for seed in range(5):  # enqueue, capture, replays
            x = noise(1, 3, 16, 16, seed=seed)
            y = engine(x)
            assert isinstance(y, np.ndarray)
            assert error(y, reference(engine, {"x": x})["y"]) < limit


def test_what_the_engine_says_about_itself(build, library):
    path = build(dynamic_matmul, profiles=(profile(32),))
    with Engine.load(path) as engine:
        assert [str(spec) for spec in engine.inputs] == ["x: float32 ?x32"]
        assert [str(spec) for spec in engine.outputs] == ["y: float32 ?x16"]
        assert engine.profiles == (profile(32),)
        assert engine.sidecar == Sidecar.read(path)
    assert engine.sidecar.device_name == _native.device().name
    assert engine.sidecar.tensorrt == library.version_text
    assert _native.read_plan_header(path.read_bytes()).version[:3] == library.version


def test_every_shape_of_the_profile_with_captures_and_recaptures(build, caplog):
    with caplog.at_level(logging.WARNING), Engine.load(build(dynamic_matmul, profiles=(profile(32),))) as engine:
        for seed, batch in enumerate([4, 4, 4, 1, 1, 1, 16, 16, 16, 4, 4, 2, 2, 1, 16]):
            x = noise(batch, 32, seed=seed)
            assert error(engine(x), reference(engine, {"x": x})["y"]) < FP32
    assert caplog.records == []  # no capture failed


def test_the_enqueue_and_the_graph_give_the_same(build):
    x = noise(4, 32)
    with Engine.load(build(dynamic_matmul, profiles=(profile(32),))) as engine, engine.context() as context:
        enqueued = context(x)
        assert not context._native.replays
        for _ in range(3):
            np.testing.assert_array_equal(context(x), enqueued)
            assert context._native.replays
        context(noise(16, 32))
        assert not context._native.replays
        assert context.graph_problem == ""


def test_several_profiles(build):
    profiles = (profile(32, batches=(1, 1, 2)), profile(32, batches=(3, 8, 16)))
    with Engine.load(build(dynamic_matmul, profiles=profiles)) as engine:
        assert engine.profiles == profiles
        for seed, batch in enumerate([1, 1, 1, 8, 8, 8, 2, 16, 16, 1]):
            x = noise(batch, 32, seed=seed)
            assert error(engine(x), reference(engine, {"x": x})["y"]) < FP32


def test_two_inputs_and_two_outputs_in_every_form_of_call(build):
    a, b = noise(3, 5), noise(3, 5, seed=1)
    with Engine.load(build(two_by_two, profiles=(profile(5, names=("a", "b")),))) as engine:
        order = [spec.name for spec in engine.inputs]
        by_position = [{"a": a, "b": b}[name] for name in order]
        for result in (
            engine(*by_position),
            engine(a=a, b=b),
            engine({"b": b, "a": a}),
            engine(by_position[0], **{order[1]: by_position[1]}),
        ):
            assert sorted(result) == ["difference", "sum"]
            assert error(result["sum"], a + b) < FP32
            assert error(result["difference"], a - b) < FP32


def test_integer_input(build):
    with Engine.load(build(gather)) as engine:
        for _ in range(3):
            ids = np.array([0, 9, 3, 3, 1, 7], np.int32)
            assert error(engine(ids), reference(engine, {"ids": ids})["y"]) < FP32
        with pytest.raises(InputError, match="int64"):
            engine(ids.astype(np.int64))


def test_arrays_that_are_not_contiguous(build):
    with Engine.load(build(dynamic_matmul, profiles=(profile(32),))) as engine:
        wide = noise(8, 64)
        for x in (wide[:, ::2], wide[::-1, :32], np.asfortranarray(wide[:, :32])):
            assert error(engine(x), reference(engine, {"x": np.ascontiguousarray(x)})["y"]) < FP32


def test_outputs_are_fresh_and_inputs_untouched(build):
    with Engine.load(build(dynamic_matmul, profiles=(profile(32),))) as engine:
        x = noise(4, 32)
        kept = x.copy()
        results = [engine(x) for _ in range(3)]
        results[0][:] = 7
        engine(noise(4, 32, seed=5))
        np.testing.assert_array_equal(results[1], results[2])
        np.testing.assert_array_equal(x, kept)
        assert all(result.flags.owndata and result.flags.writeable for result in results)
    assert error(results[1], reference(engine, {"x": x})["y"]) < FP32  # also after the engine is gone


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda engine: engine(X=noise(4, 32)), "no input 'X'"),
        (lambda engine: engine(), "missing input: x"),
        (lambda engine: engine(noise(4, 32), noise(4, 32)), "too many inputs"),
        (lambda engine: engine(noise(4, 32).astype(np.float64)), r"x\.astype\(np\.float32\)"),
        (lambda engine: engine(noise(32)), "wrong number of dimensions"),
        (lambda engine: engine(noise(4, 31)), "wrong shape"),
        (lambda engine: engine(noise(17, 32)), "1x32 to 16x32"),
        (lambda engine: engine([[1.0] * 32]), "not a NumPy array"),
    ],
)
def test_wrong_arguments_are_refused_and_the_engine_goes_on(build, call, words):
    x = noise(4, 32)
    with Engine.load(build(dynamic_matmul, profiles=(profile(32),))) as engine:
        right = engine(x)
        with pytest.raises(InputError, match=words):
            call(engine)
        np.testing.assert_array_equal(engine(x), right)


def copy_of(path, folder):
    for source in (path, sidecar_path(path)):
        (folder / source.name).write_bytes(source.read_bytes())
    return folder / path.name


def test_a_truncated_engine_with_and_without_its_sidecar(build, tmp_path):
    path = copy_of(build(conv_relu, precision="fp32"), tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(EngineError, match="truncated"):
        Engine.load(path)
    sidecar_path(path).unlink()
    with pytest.raises(EngineError):
        Engine.load(path)


def test_an_edited_header(build, tmp_path):
    path = copy_of(build(conv_relu, precision="fp32"), tmp_path)
    data = bytearray(path.read_bytes())
    data[24] += 1
    path.write_bytes(bytes(data))
    for _ in range(2):  # with its sidecar and without
        with pytest.raises(EngineVersionError):
            Engine.load(path)
        sidecar_path(path).unlink(missing_ok=True)


def test_a_sidecar_of_another_gpu(build, tmp_path):
    path = copy_of(build(conv_relu, precision="fp32"), tmp_path)
    edited = dataclasses.replace(Sidecar.read(path), device_name="Orin", compute_capability=(8, 7))
    edited.write(path)
    with pytest.raises(EngineDeviceError, match="Orin"):
        Engine.load(path)


def test_an_engine_without_a_sidecar_runs(build, tmp_path):
    path = copy_of(build(conv_relu, precision="fp32"), tmp_path)
    sidecar_path(path).unlink()
    with Engine.load(path) as engine:
        assert engine.sidecar is None
        assert engine(noise(1, 3, 16, 16)).shape == (1, 8, 16, 16)


def test_close_gives_everything_back_and_nothing_runs_after_it(build):
    gc.collect()
    before = _native.live_objects()
    engine = Engine.load(build(dynamic_matmul, profiles=(profile(32),)))
    for _ in range(3):
        engine(noise(4, 32))
    assert _native.live_objects() > before
    engine.close()
    engine.close()
    assert _native.live_objects() == before
    with pytest.raises(EngineError, match="is closed"):
        engine(noise(4, 32))


def test_two_engines_at_once(build):
    with Engine.load(build(conv_relu, precision="fp32")) as first, Engine.load(build(gather)) as second:
        for seed in range(3):
            x, ids = noise(1, 3, 16, 16, seed=seed), np.arange(6, dtype=np.int32)
            assert error(first(x), reference(first, {"x": x})["y"]) < FP32
            assert error(second(ids), reference(second, {"ids": ids})["y"]) < FP32


def test_calls_from_several_threads_take_turns(build):
    failures = []
    with Engine.load(build(dynamic_matmul, profiles=(profile(32),))) as engine:
        cases = [(x, reference(engine, {"x": x})["y"]) for x in (noise(1 + i, 32, seed=i) for i in range(4))]

        def work(x, ref):
            failures.extend(x.shape for _ in range(50) if not error(engine(x), ref) < FP32)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, *zip(*cases)))
    assert failures == []


def test_the_sidecar_tells_the_types_of_the_built_layers(build):
    found = Sidecar.read(build(dynamic_matmul, profiles=(profile(32),))).precision_found
    assert found.get("float32", 0) > 0
    assert "other" not in found  # a wording of the inspector's that is not known, or types missing for dynamic shapes


def test_a_version_compatible_engine_runs(build):
    with Engine.load(build(conv_relu, precision="fp32", version_compatible=True)) as engine:
        x = noise(1, 3, 16, 16)
        assert engine.sidecar.version_compatible
        assert error(engine(x), reference(engine, {"x": x})["y"]) < FP32


def test_launches_are_timed_once_there_was_a_call(build):
    with Engine.load(build(conv_relu, precision="fp32")) as engine:
        with pytest.raises(EngineError, match="nothing to time"):
            engine.time_launches(3)
        x = noise(1, 3, 16, 16)
        before = engine(x)
        times = engine.time_launches(20)
        assert len(times) == 20
        assert all(0 < milliseconds < 1000 for milliseconds in times)
        np.testing.assert_array_equal(engine(x), before)
