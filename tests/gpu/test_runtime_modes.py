"""What an engine can be asked for beyond a call: memory in place, device arrays, tickets, datasets, threads.

Small models against NumPy on the real GPU; tests/python/test_runtime_context.py does the same on fakes.
"""

import threading
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import EngineError, InputError
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange

RNG = np.random.default_rng(3)
W = RNG.normal(size=(32, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


def save(path, nodes, inputs, outputs, **constants):
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def products(library, tmp_path_factory):
    """x (1..16 rows of 32) -> y = tanh(x w); TF32 off."""
    folder = tmp_path_factory.mktemp("products")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Tanh", ["m"], ["y"])]
    values = [("x", TensorProto.FLOAT, ["n", 32])], [("y", TensorProto.FLOAT, ["n", 16])]
    model = save(folder / "m.onnx", nodes, *values, w=W)
    options = BuildOptions(profiles=({"x": ShapeRange((1, 32), (8, 32), (16, 32))},))
    return build_engine(model, folder / "m.engine", options, library=library).engine


def rows(count):
    return RNG.normal(size=(count, 32)).astype(np.float32)


def close(y, x):
    reference = np.tanh(x.astype(np.float64) @ W)
    assert y.shape == reference.shape
    assert np.linalg.norm(y - reference) / np.linalg.norm(reference) < 1e-5


@pytest.mark.parametrize("memory", ["copy", "mapped"])
def test_memory_modes_give_the_same_bits(products, memory):
    with Engine.load(products) as engine, Engine.load(products, memory=memory) as other:
        for count in (8, 8, 8, 3, 16):
            x = rows(count)
            np.testing.assert_array_equal(engine(x), other(x))
            close(other(x), x)


def test_pinned_memory_is_filled_and_read_in_place(products):
    with Engine.load(products) as engine, engine.context() as context:
        context.set_shapes({"x": (5, 32)})
        for _ in range(4):
            x = rows(5)
            context.host["x"][...] = x
            y = context.run(results="view")
            close(y, x)
            assert np.shares_memory(y, context.host["y"])
        assert context._native.replays


def test_tickets_and_two_contexts(products):
    with Engine.load(products) as engine, engine.context() as first, engine.context() as second:
        for _ in range(5):
            a, b = rows(16), rows(7)
            tickets = first.run_async(a), second.run_async(b)
            close(tickets[1].result(), b)
            close(tickets[0].result(), a)
        pending = first.run_async(a)
        with pytest.raises(EngineError, match="ticket"):
            first(a)
        first.close()
        with pytest.raises(EngineError, match="closed"):
            pending.result()


def test_a_dataset(products):
    samples = rows(101)
    with Engine.load(products) as engine:
        for batch in (1, 8, 16):
            close(np.array(list(engine.map(iter(samples), batch=batch))), samples)


def test_large_batches_in_parts_and_empty_ones(products):
    x = rows(50)
    with Engine.load(products, split_batches=True) as engine:
        close(engine(x), x)
        assert engine(x[:0]).shape == (0, 16)
        close(engine(x[:3]), x[:3])


def test_threads_share_one_profile(products):
    """A dynamic engine of 8.6 with one profile: several contexts need profile sharing, which the builder sets."""
    cases = [rows(1 + index) for index in range(8)]
    failures = []
    with Engine.load(products, contexts=4) as engine:
        serial = [engine(x) for x in cases]

        def work(index):
            failures.extend(index for _ in range(100) if not np.array_equal(engine(cases[index]), serial[index]))

        threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine._pool._limit == 4, "TensorRT refused a second context"
    assert failures == []


def test_torch_arrays_go_in_and_come_out(products):
    torch = pytest.importorskip("torch")
    with Engine.load(products) as engine, engine.context() as context:
        for _ in range(4):
            x = rows(6)
            on_gpu = torch.from_numpy(x).cuda() * 1.0  # work of torch's own stream that is still in flight
            close(context(on_gpu), x)
            y = torch.from_dlpack(context.run(on_gpu, results="device"))
            assert y.data_ptr() == context.device["y"].address
            close(y.cpu().numpy(), x)
            close(torch.as_tensor(context.device["y"], device="cuda").cpu().numpy(), x)
        assert context._native.replays or context.graph_problem == ""
        close(engine(on_gpu), x)
        with pytest.raises(InputError, match="float16"):
            context(on_gpu.half())


def test_pycuda_arrays_go_in(products, primary):
    x = rows(6)
    with Engine.load(products) as engine, engine.context() as context, primary:
        from pycuda import gpuarray

        on_gpu = gpuarray.to_gpu(x)
        close(context(on_gpu), x)
        del on_gpu


def test_a_foreign_context_is_refused_and_disturbs_nothing(products, primary):
    x = rows(4)
    with Engine.load(products) as engine, engine.context() as context:
        close(context(x), x)
        own = primary.driver.Device(0).make_context()
        try:
            close(context(x), x)  # the user's context stays current, ours is used
            memory = primary.driver.mem_alloc(x.nbytes)

            foreign = SimpleNamespace(
                __cuda_array_interface__={
                    "shape": x.shape,
                    "typestr": "<f4",
                    "data": (int(memory), False),
                    "strides": None,
                    "version": 3,
                    "stream": 1,
                }
            )
            with pytest.raises(InputError, match="another CUDA context"):
                context(foreign)
            memory.free()
            assert primary.driver.Context.get_current() == own
        finally:
            own.pop()
            own.detach()
        close(context(x), x)


def test_sizes_that_depend_on_the_data(library, tmp_path):
    nodes = [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["y"], to=TensorProto.INT32)]
    values = [("x", TensorProto.FLOAT, [4, 6])], [("y", TensorProto.INT32, [2, "count"])]
    model = save(tmp_path / "m.onnx", nodes, *values)
    built = build_engine(model, tmp_path / "m.engine", library=library)
    for memory in ("copy", "mapped"):
        with Engine.load(built.engine, memory=memory) as engine, engine.context() as context:
            for share in (0.5, 0.0, 1.0, 0.1, 0.9):
                x = (RNG.random((4, 6)) < share).astype(np.float32)
                for call in (engine, context, context.run):
                    np.testing.assert_array_equal(call(x), np.array(np.nonzero(x)))


def test_values_that_decide_shapes(library, tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "s"], ["r"]), helper.make_node("Relu", ["r"], ["y"])]
    values = (
        [("x", TensorProto.FLOAT, [12]), ("s", TensorProto.INT64, [2])],
        [("y", TensorProto.FLOAT, ["a", "b"])],
    )
    model = save(tmp_path / "m.onnx", nodes, *values)
    options = BuildOptions(profiles=({"s": ShapeRange((1, 1), (3, 4), (12, 12))},))
    built = build_engine(model, tmp_path / "m.engine", options, library=library)
    with Engine.load(built.engine) as engine:
        (spec,) = [spec for spec in engine.inputs if spec.name == "s"]
        assert engine.profiles[0]["s"] == ShapeRange((1, 1), (3, 4), (12, 12))
        x = RNG.normal(size=12).astype(np.float32)
        for shape in [(3, 4), (3, 4), (3, 4), (12, 1), (2, 6), (3, 4)]:
            y = engine({"x": x, "s": np.array(shape, spec.dtype)})
            np.testing.assert_array_equal(y, np.maximum(x, 0).reshape(shape))


def test_layers_are_timed(products):
    with Engine.load(products) as engine, engine.context() as context:
        for _ in range(3):
            close(context(rows(8)), context.host["x"].copy())
        times = context.profile()
        assert times
        assert all(name and milliseconds >= 0 for name, milliseconds in times)
        x = rows(8)
        close(context(x), x)
