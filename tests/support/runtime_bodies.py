"""What test_runtime_context.py has done in processes with the fake driver and the fake TensorRT."""

import ctypes
import logging
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_gpu import FakeCuda, plan

from tf2trt import _native
from tf2trt.errors import DeviceError, EngineError, InputError, UsageError
from tf2trt.runtime import Engine

cuda = FakeCuda()
FOLDER = tempfile.TemporaryDirectory()


def load(text, shared=True, **options):
    """Engines of TensorRT 8 share their profiles, as those that tf2trt builds do, unless told otherwise."""
    text += " shared" if shared else ""
    path = Path(FOLDER.name) / "m.engine"
    path.write_bytes(plan(text, _native.find_library().version))
    return Engine.load(path, **options)


def batch(rows, start=1.0):
    return start + np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)


def refused(kind, words, call):
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value), str(caught.value)


def follows_shapes_and_replays():
    with load("double") as engine, engine.context() as context:
        assert [str(spec) for spec in engine.inputs] == ["x: float32 ?x2"]
        replayed = []
        for rows in [4, 4, 4, 1, 1, 2, 16, 16, 16, 3]:
            x = batch(rows, rows / 8)
            for each in (context, engine):
                np.testing.assert_array_equal(each(x), 2 * x)
            replayed.append(context._native.replays)
        assert replayed == [False, True, True, False, True, False, False, True, True, False]
        assert cuda["pageable_copies"] == 0
        launches, copies = cuda["graph_launches"], cuda["h2d_copies"]
        context(x), context(x)
        assert (cuda["graph_launches"] - launches, cuda["h2d_copies"] - copies) == (2, 2)
    assert {name: cuda[name] for name in ("device_bytes", "streams", "graph_execs")} == dict.fromkeys(
        ("device_bytes", "streams", "graph_execs"), 0
    )


def runs_all_forms_of_a_call():
    x, z = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.int32)
    with load("static") as engine, engine.context() as context:
        for call in (engine, context, context.run):
            for result in (call(x, z), call(x=x, z=z), call({"z": z, "x": x}), call(x, z=z), call(x.T.copy().T, z)):
                assert sorted(result) == ["w", "y"]
                np.testing.assert_array_equal(result["y"], x + z)
                np.testing.assert_array_equal(result["w"], z)
                assert result["y"].flags.owndata
        refused(InputError, "missing input: x, z", engine)
        refused(InputError, "no input 'q'", lambda: context(x, q=z))
        refused(InputError, "int64", lambda: context(x, z.astype(np.int64)))
        refused(InputError, "wrong shape", lambda: context(x[:1], z))
        np.testing.assert_array_equal(context(x, z)["y"], x + z)


def reads_and_gives_memory_in_place():
    with load("double") as engine, engine.context() as context:
        assert context.host["x"].shape == (4, 2)  # the profile's usual shape
        context.set_shapes({"x": (3, 2)})
        x = context.host["x"]
        x[...] = batch(3)
        for start in (1.0, 5.0, 9.0):
            x[...] = batch(3, start)
            y = context.run(results="view")
            np.testing.assert_array_equal(y, 2 * batch(3, start))
            assert not y.flags.owndata
        kept, owned = y, context()
        assert context.run(results="device").shape == (3, 2)
        copies = cuda["d2h_copies"]
        on_device = context.run(batch(3, 7.0), results="device")
        assert cuda["d2h_copies"] == copies
        assert on_device.__cuda_array_interface__["data"][0] == context.device["y"].address
        assert on_device.__dlpack_device__() == (2, 0)
        context(batch(3, 11.0))
        np.testing.assert_array_equal(kept, 2 * batch(3, 11.0))  # a view: overwritten by the next run
        np.testing.assert_array_equal(owned, 2 * batch(3, 9.0))
        refused(InputError, "no tensor 'q'", lambda: context.host["q"])
        assert list(context.host) == ["x", "y"]
        refused(UsageError, "results", lambda: context.run(results="list"))
    np.testing.assert_array_equal(kept, 2 * batch(3, 11.0))  # and its memory outlives the engine


def takes_device_arrays():
    with load("double") as engine, engine.context() as first, engine.context() as second:
        first.host["x"][...] = batch(4)
        source = first.run(results="device")  # y of the first is the x of the second
        uploads = cuda["h2d_copies"]
        for _ in range(3):
            np.testing.assert_array_equal(second(source), 4 * batch(4))
        assert cuda["h2d_copies"] == uploads
        assert second._native.replays
        np.testing.assert_array_equal(second(batch(4)), 2 * batch(4))  # and from the host again
        np.testing.assert_array_equal(second(source), 4 * batch(4))
        np.testing.assert_array_equal(engine(source), 4 * batch(4))

        class Foreign:
            def __init__(self, **changes):
                self.__cuda_array_interface__ = {**source.__cuda_array_interface__, **changes}

        refused(InputError, "wrong dtype", lambda: second(Foreign(typestr="<f8")))
        refused(InputError, "multiple of 256", lambda: second(Foreign(data=(source.address + 4, False))))
        refused(InputError, "another CUDA context", lambda: second(Foreign(data=(foreign_memory(), False))))
        np.testing.assert_array_equal(second(source), 4 * batch(4))


def foreign_memory():
    driver, context, memory = cuda.library, ctypes.c_void_p(), ctypes.c_void_p()
    assert driver.cuCtxCreate_v2(ctypes.byref(context), 0, 0) == 0
    assert driver.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1024)) == 0
    assert driver.cuCtxPopCurrent_v2(ctypes.byref(context)) == 0
    return memory.value


def waits_for_tickets():
    with load("double") as engine:
        contexts = [engine.context() for _ in range(2)]
        tickets = [context.run_async(batch(2, start)) for context, start in zip(contexts, (1.0, 2.0))]
        refused(EngineError, "ticket", lambda: contexts[0](batch(2)))
        assert cuda["pending"] > 0
        np.testing.assert_array_equal(tickets[1].result(), 2 * batch(2, 2.0))
        while not tickets[0].done():
            pass
        first = tickets[0].result()
        np.testing.assert_array_equal(first, 2 * batch(2, 1.0))
        assert tickets[0].result() is first
        view = contexts[0].run_async(batch(2, 3.0), results="view").result()
        np.testing.assert_array_equal(view, 2 * batch(2, 3.0))
        contexts[0].run_async(batch(2, 4.0))  # dropped: waited for, and the context is free again
        np.testing.assert_array_equal(contexts[0](batch(2, 5.0)), 2 * batch(2, 5.0))
        pending = contexts[1].run_async(batch(2, 6.0))
        contexts[1].close()
        contexts[1].close()
        refused(EngineError, "closed", pending.result)
        refused(EngineError, "closed", lambda: contexts[1](batch(2)))
        late = contexts[0].run_async(batch(2, 7.0))
    refused(EngineError, "closed", late.result)
    refused(EngineError, "closed", lambda: contexts[0].host["x"])
    refused(EngineError, "closed", lambda: engine(batch(2)))
    refused(EngineError, "closed", engine.context)
    engine.close()


def streams_datasets():
    with load("double") as engine:
        for count, size in [(0, 3), (1, 3), (10, 3), (12, 4), (40, 16)]:
            items = [batch(1, float(index))[0] for index in range(count)]
            results = list(engine.map(iter(items), batch=size))
            assert len(results) == count
            for item, result in zip(items, results):
                np.testing.assert_array_equal(result, 2 * item)
        taken = []

        def endless():
            while True:
                taken.append(len(taken))
                yield np.full(2, taken[-1], np.float32)

        rows = engine.map(endless(), batch=4, inflight=2)
        assert [next(rows)[0] for _ in range(6)] == [0, 2, 4, 6, 8, 10]
        assert len(taken) <= 4 * 4  # two batches on their way, and the results of one more in hand
        rows.close()
        strided = np.arange(24, dtype=np.float32).reshape(6, 4)[:, ::2]
        np.testing.assert_array_equal(list(engine.map(strided, batch=4)), 2 * strided)
        refused(UsageError, "1 to 16", lambda: engine.map([], batch=17))
        refused(UsageError, "inflight", lambda: engine.map([], inflight=0))
        refused(InputError, "item 2", lambda: list(engine.map([*items[:2], np.zeros(3, np.float32)], batch=4)))
    with load("batch4") as engine:  # static: the last batch is filled up
        items = [batch(1, float(index))[0] for index in range(6)]
        np.testing.assert_array_equal(list(engine.map(items)), np.array(items) + 1)
    with load("static") as engine:
        samples = [{"x": np.full(3, i, np.float32), "z": np.full(3, 2 * i, np.int32)} for i in range(5)]
        rows = list(engine.map(samples))
        assert [row["y"][0] for row in rows] == [0, 3, 6, 9, 12]
        rows = list(engine.map([(sample["x"], sample["z"]) for sample in samples]))
        assert [row["w"][1] for row in rows] == [0, 2, 4, 6, 8]
        refused(InputError, "item 1", lambda: list(engine.map([samples[0], samples[1]["x"]])))


def splits_batches():
    with load("double", split_batches=True) as engine:
        for rows in (1, 16, 17, 50):
            np.testing.assert_array_equal(engine(batch(rows)), 2 * batch(rows))
    with load("batch4", split_batches=True) as engine:
        for rows in (4, 5, 9):
            np.testing.assert_array_equal(engine(batch(rows)), batch(rows) + 1)
    with load("double") as engine:
        refused(InputError, "1x2 to 4x2 or 1x2 to 16x2", lambda: engine(batch(17)))
        assert engine(batch(0)).shape == (0, 2)  # a batch of nothing
        np.testing.assert_array_equal(engine(batch(2)), 2 * batch(2))


def sizes_depend_on_the_data():
    with load("nonzero") as engine, engine.context() as context:
        for x, places in [
            ([0, 5, 0, 7], [1, 3]),
            ([1, 2, 3, 4], [0, 1, 2, 3]),
            ([0, 0, 0, 0], []),
            ([9, 0, 0, 0], [0]),
        ]:
            for call in (context, engine):
                y = call(np.array(x, np.float32))
                assert (y.tolist(), y.dtype) == ([places], np.int32)
        assert context.run(np.array([0, 1, 0, 1], np.float32), results="view").tolist() == [[1, 3]]
        assert context.run_async(np.array([0, 1, 1, 1], np.float32)).result().tolist() == [[1, 2, 3]]
        assert context.run(np.array([0, 1, 0, 1], np.float32), results="device").shape == (1, 2)
        assert not context._native.replays


def values_decide_shapes():
    x = np.arange(6, dtype=np.float32)
    with load("reshape") as engine, engine.context() as context:
        for shape in [(2, 3), (2, 3), (2, 3), (3, 2), (1, 6), (6, 1), (2, 3)]:
            for call in (context, engine):
                np.testing.assert_array_equal(call(x, np.array(shape, np.int32)), x.reshape(shape))
        refused(EngineError, "on the host", lambda: context.device["s"])


def shares_the_hosts_memory():
    with load("double") as engine:
        for rows in (4, 4, 4, 2):
            np.testing.assert_array_equal(engine(batch(rows)), 2 * batch(rows))
    assert (cuda["h2d_copies"], cuda["d2h_copies"]) == (0, 0)
    with load("double", memory="copy") as engine:
        np.testing.assert_array_equal(engine(batch(4)), 2 * batch(4))
    assert cuda["h2d_copies"] == 1
    with load("nonzero") as engine:
        assert engine(np.array([0, 1, 0, 1], np.float32)).tolist() == [[1, 3]]


def memory_is_forced():
    with load("double", memory="mapped") as engine:
        for rows in (4, 4, 4):
            np.testing.assert_array_equal(engine(batch(rows)), 2 * batch(rows))
    assert (cuda["h2d_copies"], cuda["d2h_copies"]) == (0, 0)
    refused(UsageError, "memory", lambda: load("double", memory="shared"))
    refused(UsageError, "contexts", lambda: load("double", contexts=0))


def many_threads_share_an_engine(shared):
    with load("double", shared, contexts=3) as engine:
        failures = []

        def work(number):
            for turn in range(60):
                x = batch(1 + (number + turn) % 4, float(number))
                if not np.array_equal(engine(x), 2 * x):
                    failures.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        made = len(engine._pool._made)
        assert 1 <= made <= 3
        print(made)


def runs_without_graphs():
    said = []
    logging.getLogger("tf2trt.runtime").addFilter(lambda record: said.append(record.getMessage()))
    with load("nocapture") as engine, engine.context() as context:
        for rows in (2, 2, 2, 3, 3, 3):
            np.testing.assert_array_equal(context(batch(rows)), 2 * batch(rows))
        assert not context._native.replays
        assert [context.graph_problem in line for line in said] == [True]
    with load("broken") as engine:
        for _ in range(2):
            refused(EngineError, "could not be run", lambda: engine(batch(2)))


def has_too_little_memory():
    with load("big") as engine:
        refused(DeviceError, "1048576.0 MiB for the engine's activations", lambda: engine(batch(1)))
        refused(DeviceError, "MiB free", engine.context)


def times_layers_and_launches():
    with load("double") as engine, engine.context() as context:
        refused(EngineError, "nothing to profile", context.profile)
        refused(EngineError, "nothing to time", lambda: engine.time_launches(3))
        for _ in range(3):
            np.testing.assert_array_equal(context(batch(2)), 2 * batch(2))
        times = context.profile()
        assert len(times) == 2
        assert len(context.time_launches(5)) == 5
        np.testing.assert_array_equal(context(batch(2)), 2 * batch(2))


def closes_while_it_is_used():
    engine = load("double", contexts=2)
    stopped = []

    def work():
        try:
            while True:
                engine(batch(2))
        except EngineError as error:
            stopped.append("closed" in str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(engine._pool._made) < 1:
        pass
    engine.close()
    for thread in threads:
        thread.join()
    assert stopped == [True] * 4
    assert _native.live_objects() == 0


def marks_calls_for_nvtx():
    """A stand-in for the package nvtx, which is optional, notes what it is asked to mark."""
    Path(FOLDER.name, "nvtx.py").write_text(
        "import contextlib\nseen = []\n"
        "@contextlib.contextmanager\n"
        "def annotate(message, domain):\n"
        "    seen.append((message, domain, 'in'))\n"
        "    yield\n"
        "    seen.append((message, domain, 'out'))\n"
    )
    sys.path.insert(0, FOLDER.name)
    with load("double") as engine:
        np.testing.assert_array_equal(engine(batch(2)), 2 * batch(2))
    assert sys.modules["nvtx"].seen == [("tf2trt m.engine", "tf2trt", side) for side in ("in", "out")]
