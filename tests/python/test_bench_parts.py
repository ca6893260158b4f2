"""Parts of tf2trt bench: what paths become, shapes, warm-up, the order of turns, words."""

import random
import signal

import numpy as np
import pytest

from tf2trt.bench import interrupts, timing, worker
from tf2trt.bench.adapter import Adapter, full_shapes, make_inputs, nan_outputs
from tf2trt.bench.checks import make_plan
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.protocol import decode, encode, pack, unpack
from tf2trt.bench.schedule import Cell, rounds
from tf2trt.bench.subjects import expand
from tf2trt.bench.voids import Turn, void_reasons
from tf2trt.bench.warmup import LIMIT, TOLERANCE, WINDOWS, warm_up
from tf2trt.errors import DeviceError, UnsupportedVersionError, UsageError
from tf2trt.specs import TensorSpec


@pytest.fixture
def paths(tmp_path, small_onnx):
    """paths["onnx"], ["keras"], ["saved"], ["tf-trt"], ["hybrid"]: files of each kind, as far as they are looked at."""
    found = {"onnx": small_onnx, "keras": tmp_path / "net.keras"}
    found["keras"].write_bytes(b"zip")
    for name, content in (("saved", b"MatMul"), ("tf-trt", b"..TRTEngineOp.."), ("hybrid", b"..Tf2TrtEngine..")):
        found[name] = tmp_path / name
        found[name].mkdir()
        (found[name] / "saved_model.pb").write_bytes(content)
    return {name: str(path) for name, path in found.items()}


def shown(subjects):
    return [(each.name, each.kind, each.precision, each.holds, each.build) for each in subjects]


def test_a_model_in_every_way_and_precision(paths):
    options = BenchOptions(
        (paths["saved"], paths["onnx"]),
        precisions=("tf32", "fp16", "bf16", "int8"),
        backends=("native", "tf-trt", "hybrid", "engine"),
    )
    subjects, notes = expand(options, tf32=True)
    assert shown(subjects) == [
        ("saved native tf32", "tensorflow", "tf32", "tensorflow", None),
        ("saved tf-trt tf32", "tf-trt", "tf32", "tf-trt", "tf-trt"),
        ("saved tf-trt fp16", "tf-trt", "fp16", "tf-trt", "tf-trt"),
        ("saved hybrid tf32", "hybrid", "tf32", "hybrid", "hybrid"),
        ("saved hybrid fp16", "hybrid", "fp16", "hybrid", "hybrid"),
        ("saved hybrid bf16", "hybrid", "bf16", "hybrid", "hybrid"),
        ("saved engine tf32", "engine", "tf32", "engine", "convert"),
        ("saved engine fp16", "engine", "fp16", "engine", "convert"),
        ("saved engine bf16", "engine", "bf16", "engine", "convert"),
        ("small.onnx tf32", "onnx", "tf32", "engine", "onnx"),
        ("small.onnx fp16", "onnx", "fp16", "engine", "onnx"),
        ("small.onnx bf16", "onnx", "bf16", "engine", "onnx"),
    ]
    assert [note.split(" is left out")[0] for note in notes] == [
        "saved tf-trt bf16",
        "saved tf-trt int8",
        "saved hybrid int8",
        "saved engine int8",
        "small.onnx in int8",
    ]
    assert subjects[0].regimes(("gpu", "serial")) == ("serial",)
    assert subjects[6].regimes(("gpu", "serial")) == ("gpu", "serial")


@pytest.mark.parametrize(
    ("precisions", "tf32", "wanted"),
    [
        (("fp32", "tf32", "fp16"), True, ["fp32", "tf32"]),
        (("fp16",), True, ["tf32"]),  # TensorFlow's default
        (("fp32", "tf32", "fp16"), False, ["fp32"]),
    ],
)
def test_precisions_in_which_tensorflow_itself_runs(paths, precisions, tf32, wanted):
    subjects, _ = expand(BenchOptions((paths["keras"],), precisions=precisions, backends=("native",)), tf32)
    assert [(each.kind, each.precision) for each in subjects] == [("keras", each) for each in wanted]


def test_converted_saved_models_are_measured_as_they_are(paths):
    subjects, _ = expand(BenchOptions((paths["tf-trt"], paths["hybrid"]), backends=("native",)), True)
    assert shown(subjects) == [
        ("tf-trt", "tf-trt", "as converted", "tf-trt", None),
        ("hybrid", "hybrid", "as converted", "hybrid", None),
    ]


def test_names_are_unique(tmp_path, small_onnx):
    given = []
    for folder in ("a", "b", "c/b"):
        (tmp_path / folder).mkdir(parents=True)
        given.append(tmp_path / folder / "m.onnx")
        given[-1].write_bytes(small_onnx.read_bytes())
    subjects, _ = expand(BenchOptions(tuple(map(str, given))), True)
    assert [each.name for each in subjects] == ["m.onnx fp32", "b/m.onnx fp32", "b/m.onnx fp32 #2"]


def test_paths_that_are_nothing(tmp_path, paths):
    (tmp_path / "notes.txt").write_text("")
    for path in (tmp_path / "notes.txt", tmp_path / "none.engine", tmp_path):
        with pytest.raises(UsageError, match=path.name):
            expand(BenchOptions((str(path),)), True)
    with pytest.raises(UsageError, match="INT8 needs scales"):
        expand(BenchOptions((paths["onnx"],), precisions=("int8",)), True)


def test_a_quantised_file_is_built_in_int8_alone(paths, monkeypatch):
    from tf2trt.bench import subjects

    monkeypatch.setattr(subjects, "read_onnx_types", lambda path: ("int8",))
    found, notes = expand(BenchOptions((paths["onnx"],), precisions=("fp16", "int8", "int8+fp16")), True)
    assert [each.precision for each in found] == ["int8", "int8+fp16"]
    assert notes == ["small.onnx in fp16 is left out. It has INT8 scales: --precision int8"]


def test_int8_with_calibration_data(paths, tmp_path):
    np.savez(tmp_path / "samples.npz", x=np.zeros((8, 4), np.float32))
    options = BenchOptions(
        (paths["saved"], paths["onnx"]),
        precisions=("int8", "int8+fp16"),
        backends=("tf-trt", "hybrid", "engine"),
        calib=str(tmp_path / "samples.npz"),
    )
    subjects, notes = expand(options, tf32=True)
    assert [each.name for each in subjects] == [
        "saved tf-trt int8+fp16",
        "saved hybrid int8+fp16",
        "saved engine int8",
        "saved engine int8+fp16",
        "small.onnx int8",
        "small.onnx int8+fp16",
    ]
    assert notes == [
        f"saved {backend} int8 is left out. {backend} has no int8; its INT8 is int8+fp16"
        for backend in ("tf-trt", "hybrid")
    ]
    for wrong in ({"calib": "none.npz"}, {"calib": options.calib, "precisions": ("fp16",)}):
        with pytest.raises(UsageError, match="calibration data"):
            BenchOptions(**{"subjects": ("m.onnx",), "precisions": ("int8",), **wrong})


def test_public_names():
    import tf2trt.bench

    for name in tf2trt.bench.__all__:
        assert getattr(tf2trt.bench, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        tf2trt.bench.nothing  # noqa: B018


def test_what_needs_a_gpu_is_refused_without_one(paths):
    for backend in ("tf-trt", "hybrid", "engine"):
        with pytest.raises(DeviceError, match="--backend native"):
            make_plan(BenchOptions((paths["saved"],), backends=("native", backend)))
    with pytest.raises(DeviceError):
        make_plan(BenchOptions((paths["onnx"],)))
    with pytest.raises(UsageError, match="serial or pipelined"):
        make_plan(BenchOptions((paths["saved"],), backends=("native",), regimes=("gpu",)))
    subjects, notes = make_plan(BenchOptions((paths["saved"],), backends=("native",)))
    assert [each.name for each in subjects] == ["saved native fp32"]
    assert "GPU only" in notes[0]


def test_tensorflow_of_the_wrong_age(paths, monkeypatch):
    from tf2trt.bench import checks

    monkeypatch.setattr(checks, "_device", lambda: (None, None))
    for backend, version, words in (
        ("tf-trt", "2.18.0", "TF-TRT was taken out in 2.18"),
        ("hybrid", "2.15.1", "TensorFlow 2.16 or later"),
    ):
        monkeypatch.setattr(checks.metadata, "version", lambda name, version=version: version)
        with pytest.raises(UnsupportedVersionError, match=words):
            make_plan(BenchOptions((paths["saved"],), backends=(backend,)))


def test_shapes_of_a_batch():
    x, anchors = TensorSpec("x", "float32", (-1, -1, 3)), TensorSpec("anchors", "float32", (9, 4))
    assert full_shapes([x, anchors], {"x": (1, 16, 3)}, 8) == {"x": (8, 16, 3), "anchors": (9, 4)}
    fixed = TensorSpec("x", "float32", (8, 3))
    assert full_shapes([fixed], {}, 8) == {"x": (8, 3)}
    assert full_shapes([fixed, anchors], {}, 1)["x"] == (8, 3)  # no batch that all share: one call is one sample
    assert full_shapes([TensorSpec("scalar", "float32", ())], {}, 1) == {"scalar": ()}
    for specs, known, batch, words in (
        ([x], {}, 1, "--shapes x:1x224x3"),
        ([x], {"x": (1, 16, 4)}, 1, "the shape of input 'x'"),
        ([x], {"x": (1, 16)}, 1, "the shape of input 'x'"),
        ([fixed], {}, 1, "--batch 8"),
        ([fixed, anchors], {}, 8, "--batch 1"),
    ):
        with pytest.raises(UsageError, match=words):
            full_shapes(specs, known, batch)


def test_inputs_depend_on_seed_name_and_batch_and_not_on_the_place():
    x, y = (TensorSpec(name, "float32", (-1, 3)) for name in "xy")
    seed = random.randrange(1 << 30)
    first, second = make_inputs([x, y], {}, 2, seed), make_inputs([y, x], {}, 2, seed)
    np.testing.assert_array_equal(first["x"], second["x"])
    assert not np.array_equal(first["x"], first["y"])
    assert not np.array_equal(first["x"], make_inputs([x], {}, 2, seed + 1)["x"])
    assert make_inputs([x], {}, 5, seed)["x"].shape == (5, 3)


def test_nan_outputs():
    nan = np.array([1.0, np.nan], np.float16)
    outputs = {"a": nan, "b": np.array([np.inf]), "text": np.array([b"x"], object), "n": np.array([1])}
    assert nan_outputs(outputs) == ["a"]


def test_messages_and_times_survive_the_pipe():
    times = np.random.default_rng().exponential(size=1000).tolist()
    line = encode({"do": "turn", "times": pack(times)})
    assert line.count(b"\n") == 1
    assert unpack(decode(line)["times"]).tolist() == times
    with pytest.raises(ValueError, match="not an object"):
        decode(b"[1]")


def test_every_round_has_every_cell_in_an_order_of_its_own():
    cells = [Cell(name, batch, "gpu") for name in "abcdef" for batch in (1, 8)]
    order = list(rounds(cells, 4, seed=3))
    parts = [order[start : start + 12] for start in range(0, 48, 12)]
    assert all(sorted(map(str, part)) == sorted(map(str, cells)) for part in parts)
    assert len(set(map(tuple, parts))) == 4
    assert order == list(rounds(cells, 4, seed=3))
    assert order != list(rounds(cells, 4, seed=4))


class Clock:
    """Bursts whose medians are given; each takes a second."""

    def __init__(self, medians):
        self.medians, self.now = iter(medians), 0.0

    def burst(self, seconds, calls):
        self.now += 1.0
        return [next(self.medians)] * calls

    def __call__(self):
        return self.now


def test_warm_when_the_last_windows_agree():
    clock = Clock([5.0, 3.0, 2.0, 2.0 * (1 + TOLERANCE / 2), 2.0, 1.0])
    warm = warm_up(clock.burst, clock=clock)
    assert (warm.windows, warm.stable, warm.median_ms, warm.seconds) == (5, True, 2.0, 5.0)


def test_never_warm():
    clock = Clock([1.0 + 0.5 * (number % 2) for number in range(100)])
    warm = warm_up(clock.burst, clock=clock)
    assert not warm.stable
    assert warm.seconds == LIMIT
    slow = Clock([1.0, 2.0, 3.0])
    slow.burst = lambda seconds, calls: setattr(slow, "now", slow.now + LIMIT) or [next(slow.medians)]
    assert warm_up(slow.burst, clock=slow).windows == WINDOWS  # some are needed to tell


def test_a_warm_up_of_a_given_time():
    clock = Clock([3.0, 2.0, 1.0])
    assert warm_up(clock.burst, 2.0, clock=clock).windows == 2


class Launches(Adapter):
    """The GPU's work takes a millisecond; the first of each request a hundred more, for the CUDA graph."""

    now = 0.0

    def call(self, inputs):
        return {}

    def start(self, inputs, slot):
        return dict

    def events(self, inputs, calls, process):
        return ()

    def gpu_times(self, count):
        self.now += 0.1 + 0.001 * count
        return [1.0] * count


def test_launches_fill_the_time_though_the_graph_is_made_anew(monkeypatch):
    adapter = Launches()
    monkeypatch.setattr(timing, "_clock", lambda: adapter.now)
    result = timing.BURSTS["gpu"](adapter, {}, 1, 2.0, 10)
    assert 2.0 <= result.wall < 3.0
    assert len(result.times) > 1000
    assert len(timing.BURSTS["gpu"](adapter, {}, 1, 0.001, 10).times) == 10


def test_a_request_before_a_subject_is_loaded_is_told():
    empty = worker.Worker(lambda job: Launches())
    with pytest.raises(UsageError, match="load first"):
        empty.answer({"do": "warm", "batch": 1, "regime": "serial", "inflight": 1, "seconds": None})


def test_the_peak_where_the_kernel_does_not_keep_it(tmp_path):
    (tmp_path / "linux").write_text("Name:\tpython\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n")
    (tmp_path / "gvisor").write_text("Name:\tpython\nVmSize:\t20480 kB\nVmRSS:\t1 kB\n")
    assert worker._peak(str(tmp_path / "linux")) == 20 << 20
    assert worker._peak(str(tmp_path / "gvisor")) > 1 << 20


def test_reasons_by_kind():
    turns = [
        Turn(np.ones(1), 1.0, ("fallback: a ran natively in 3 calls", "fallback: b ran natively in 3 calls")),
        Turn(np.ones(1), 1.0),
        Turn(np.ones(1), 1.0, ("NaN in the output y", "fallback: a ran natively in 9 calls")),
    ]
    assert void_reasons(turns) == (
        "fallback: a ran natively in 3 calls (in 2 of 3 turns)",
        "NaN in the output y (in 1 of 3 turns)",
    )
    assert void_reasons(turns[1:2]) == ()


def test_an_interrupt_that_c_code_cleared_comes_back():
    before = signal.getsignal(signal.SIGINT)
    with interrupts.watched():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()
    assert signal.getsignal(signal.SIGINT) is before
    own = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.watched():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, own)
