"""tf2trt bench with made-up subjects: the order of turns, what voids a row, and workers that go wrong."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import bench_standin
import numpy as np
import pytest

import tf2trt.bench.run
from tf2trt.bench.monitor import GpuMonitor
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.process import Timeouts
from tf2trt.bench.results import BenchResult
from tf2trt.errors import OutputError, UsageError

GENEROUS = Timeouts()
SHORT = {"backends": ("native",), "seconds": 0.01, "repeats": 2}


@pytest.fixture
def bench(tmp_path):
    """bench(subjects, **options): the result for subjects that stand in, each with its behaviour."""

    def call(subjects, timeouts=GENEROUS, progress=None, **options):
        paths = [bench_standin.make(tmp_path, name, **behaviour) for name, behaviour in subjects.items()]
        return tf2trt.bench.run.run_bench(
            BenchOptions(tuple(paths), **{**SHORT, **options}),
            command=bench_standin.COMMAND,
            timeouts=timeouts,
            progress=progress,
        )

    return call


def log(folder):
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def by_subject(result):
    return {subject.name.split()[0]: subject for subject in result.subjects}


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_turns_of_all_subjects_alternate_and_only_one_works_at_a_time(bench, tmp_path):
    seen = []
    result = bench(
        {"a": {}, "b": {}, "c": {"seconds": 0.002}},
        batches=(1, 4),
        repeats=3,
        seed=7,
        progress=lambda *state: seen.append(state),
    )
    requests = log(tmp_path)
    for before, after in zip(requests, requests[1:]):
        assert before[5] <= after[4]  # ended before the next began
    turns = [tuple(each[:1] + each[2:4]) for each in requests if each[1] == "turn"]
    cells = {(name, batch, regime) for name in "abc" for batch in (1, 4) for regime in ("serial", "pipelined")}
    rounds = [turns[start : start + 12] for start in (0, 12, 24)]
    assert len(turns) == 36
    assert all(set(each) == cells for each in rounds)  # each cell once in every round
    assert len(set(map(tuple, rounds))) == 3  # in an order of its own
    assert [each[1] for each in requests].index("turn") > max(
        place for place, each in enumerate(requests) if each[1] in ("load", "warm")
    )
    assert ("measuring", 35, 36) in seen

    assert [(row.subject, row.batch, row.regime) for row in result.rows] == [
        (f"{name} native fp32", batch, regime)
        for name in "abc"
        for batch in (1, 4)
        for regime in ("serial", "pipelined")
    ]
    assert all(len(row.turns_p50_ms) == 3 and row.calls >= 30 and not row.void for row in result.rows)
    slow = next(row for row in result.rows if row.subject.startswith("c") and row.regime == "serial")
    assert slow.p50_ms >= 2.0
    facts = by_subject(result)["a"]
    assert facts.versions == {"standin": "1.0"}
    assert facts.engine_bytes == 7
    assert 0 < facts.load_seconds <= facts.first_answer_seconds
    assert facts.host_peak_bytes > 1 << 20
    assert facts.error is None
    assert result.environment["way"]["repeats"] == 3
    assert BenchResult.from_json(json.loads(json.dumps(result.to_json()))).rows == result.rows


def test_all_subjects_get_the_same_inputs_by_the_seed(bench, tmp_path):
    bench({"a": {}, "b": {}}, regimes=("serial",), repeats=1, seed=11)
    first, second = (np.load(tmp_path / f"{name}.npz")["x"] for name in "ab")
    np.testing.assert_array_equal(first, second)
    assert first.shape == (1, 3)
    (tmp_path / "other").mkdir()
    other = bench_standin.make(tmp_path / "other", "a")
    options = BenchOptions((other,), regimes=("serial",), backends=("native",), seconds=0.01, repeats=1, seed=12)
    tf2trt.bench.run.run_bench(options, command=bench_standin.COMMAND)
    assert not np.array_equal(np.load(tmp_path / "other" / "a.npz")["x"], first)


WRONG = {
    "early": ({"dies": "load"}, ["load: the worker ended with exit status 3", "the last words of early"]),
    "warm": ({"dies": "warm"}, ["warm: the worker ended with exit status 3", "the last words of warm"]),
    "turn": ({"dies": "turn"}, ["turn: the worker ended with exit status 3", "the last words of turn"]),
    "late": ({"dies": "close"}, ["close: the worker ended with exit status 3", "the last words of late"]),
    "shot": ({"killed": "turn"}, ["turn: the worker was ended by SIGKILL and wrote nothing to standard error"]),
    "odd": ({"babbles": "turn"}, ["turn: the worker answered something else: b'hello'"]),
    "unwilling": ({"fails": "load"}, ["RuntimeError: no such thing"]),
    "refusing": ({"fails": "turn"}, ["batch 1, serial: RuntimeError: no such thing"]),
    "silent": ({"hangs": "turn"}, ["turn: no answer within 2 s", "waiting for ever"]),
    "mute": ({"hangs": "load"}, ["load: no answer within 4 s", "waiting for ever"]),
}


def test_workers_that_go_wrong_are_named_and_the_others_go_on(bench, tmp_path):
    """``waiting for ever`` is what a worker wrote to standard output: it went to standard error."""
    behaviour = {name: each for name, (each, _) in WRONG.items()}
    result = bench(
        {"good": {}, **behaviour, "fine": {}}, regimes=("serial",), timeouts=Timeouts(load=4, turn=2), repeats=1
    )
    subjects = by_subject(result)
    assert subjects["good"].error is None
    assert subjects["fine"].error is None
    for name, (_, words) in WRONG.items():
        assert all(text in subjects[name].error for text in words), subjects[name].error
        assert "\n" not in subjects[name].error
    assert [row.subject.split()[0] for row in result.rows] == ["good", "late", "fine"]
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_what_one_regime_refuses_the_other_still_measures(bench):
    result = bench({"half": {"fails": ["turn", "pipelined"]}})
    assert [row.regime for row in result.rows] == ["serial"]
    assert by_subject(result)["half"].error == "batch 1, pipelined: RuntimeError: no such thing"


def test_rows_with_a_nan_a_fallback_or_a_build_are_void_and_keep_their_figures(bench):
    reasons = ["fallback: s0 ran natively in 12 calls", "build: 1 engines of s0 were built"]
    result = bench({"nan": {"nan": True}, "hybrid": {"reasons": reasons}, "good": {}}, regimes=("serial",))
    void = {row.subject.split()[0]: row.void for row in result.rows}
    assert void == {
        "nan": ("NaN in the output y (in 2 of 2 turns)",),
        "hybrid": tuple(f"{reason} (in 2 of 2 turns)" for reason in reasons),
        "good": (),
    }
    assert all(row.p50_ms > 0 for row in result.rows)


def test_throttling_while_a_turn_ran_voids_its_row_alone(bench, monkeypatch, tmp_path):
    asked = []

    def throttled_between(self, start, end):
        asked.append((start, end))
        return "power cap in 3 of 40 readings" if len(asked) == 2 else None

    monkeypatch.setattr(GpuMonitor, "throttled_between", throttled_between)
    result = bench({"a": {}, "b": {}}, regimes=("serial",))
    turns = [each for each in log(tmp_path) if each[1] == "turn"]
    for (start, end), turn in zip(asked, turns):  # the worker's own times, by one clock
        assert turn[4] <= start < end <= turn[5]
    hit = turns[1][0]
    assert {row.subject.split()[0]: row.void for row in result.rows} == {
        hit: ("throttled: power cap in 3 of 40 readings (in 1 of 2 turns)",),
        "b" if hit == "a" else "a": (),
    }


def test_a_subject_that_never_becomes_stable_is_measured_and_told(bench):
    result = bench({"slower": {"grows": 0.001}}, regimes=("serial",), repeats=1)
    assert len(result.rows) == 1
    note = "slower native fp32, batch 1, serial: never became stable"
    assert any(note in each for each in result.environment["notes"])


def test_a_trace_has_the_calls_of_every_subject(bench, tmp_path):
    subjects = {"a": {}, "b": {}, "c": {"fails": "trace"}, "d": {"dies": "trace"}}
    result = bench(subjects, batches=(1, 2), repeats=1, trace=str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    processes = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert processes == {f"{name} native fp32, batch {batch}" for name in "ab" for batch in (1, 2)}
    notes = result.environment["notes"]
    assert "c native fp32: no trace for batch 1: RuntimeError: no such thing" in notes
    assert any("d native fp32: no trace for batch 1: trace: the worker ended" in note for note in notes)
    assert len(result.rows) == 16  # what was measured stays
    assert all(subject.error is None for subject in result.subjects)


def test_what_is_built_is_kept_where_that_is_asked_for(tmp_path, monkeypatch, small_onnx):
    """The stand-in builds: what it is asked for is what is tested."""
    from tf2trt.bench import checks

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m x.onnx").write_bytes(small_onnx.read_bytes())
    monkeypatch.setattr(checks, "_device", lambda: (None, None))
    paths = tuple(str(tmp_path / name / "m x.onnx") for name in ("a", "b"))
    result = tf2trt.bench.run.run_bench(
        BenchOptions(paths, precisions=("fp16",), keep=str(tmp_path), **SHORT), command=bench_standin.COMMAND
    )
    kept = [tmp_path / "m-x.onnx-fp16.engine", tmp_path / "b-m-x.onnx-fp16.engine"]
    for path, subject in zip(kept, result.subjects):
        job = json.loads(path.read_text())
        assert job["path"] == subject.source
        assert (job["build"], job["precision"], job["batches"]) == ("onnx", "fp16", [1])
        assert not Path(job["onnx"]).parent.exists()  # what else builds leave is gone
        assert subject.build_seconds == 2.5
        assert "cannot be loaded" in subject.error  # it is no engine
    with pytest.raises(OutputError):
        tf2trt.bench.run.run_bench(BenchOptions(paths, keep=str(tmp_path / "none"), **SHORT))


def test_ctrl_c_ends_all_workers(tmp_path):
    paths = [bench_standin.make(tmp_path, "a"), bench_standin.make(tmp_path, "b", hangs="turn")]
    script = f"""
        import bench_standin
        from tf2trt.bench.options import BenchOptions
        from tf2trt.bench.run import run_bench

        run_bench(
            BenchOptions({tuple(paths)!r}, backends=("native",), seconds=0.01), command=bench_standin.COMMAND
        )
    """
    support = Path(bench_standin.__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(support), os.environ.get("PYTHONPATH", "")])}
    child = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not (tmp_path / "log").exists() or '"warm", 1, "pipelined"' not in (tmp_path / "log").read_text():
        assert time.monotonic() < end
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    try:
        errors = child.communicate(timeout=15)[1]
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGABRT)  # then it says where it is
        pytest.fail(child.communicate()[1])
    assert "KeyboardInterrupt" in errors
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subjects": ()}, "no subject"),
        ({"batches": (0,)}, "batch"),
        ({"batches": (True,)}, "batch"),
        ({"precisions": ("fp17",)}, "fp17"),
        ({"precisions": ()}, "precisions"),
        ({"backends": ("cuda",)}, "native, tf-trt, hybrid, engine"),
        ({"regimes": ("warp",)}, "gpu, serial, pipelined"),
        ({"preset": "trtexec-9"}, "trtexec-10"),
        ({"preset": "trtexec-10", "repeats": 3}, "a preset says how"),
        ({"repeats": 0}, "repeats"),
        ({"seconds": 0.0}, "seconds"),
        ({"plugin_libraries": ("no.so",)}, "no.so"),
    ],
)
def test_options_that_cannot_work(options, words):
    with pytest.raises(UsageError, match=words):
        BenchOptions(**{"subjects": ("m.engine",), **options})
