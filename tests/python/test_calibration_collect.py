"""Histograms and thresholds; memory that stays bounded; a calibration that is stopped and goes on."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_graphs import FLOAT, build, node

from tf2trt.calibration import CalibrationData, collect, quantize
from tf2trt.calibration.qdq import state_path
from tf2trt.calibration.thresholds import BINS, Histogram, threshold
from tf2trt.errors import ModelError, UsageError

onnx = pytest.importorskip("onnx")

RNG = np.random.default_rng(11)
DATA = RNG.normal(size=(40, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def model(tmp_path):
    """x -> Conv -> Relu -> Conv -> y."""
    shape = ["n", 3, "h", "w"]
    nodes = [node("Conv", ["x", "w1"], ["c"]), node("Relu", ["c"], ["r"]), node("Conv", ["r", "w2"], ["y"])]
    constants = {"w1": RNG.normal(size=(4, 3, 1, 1)), "w2": RNG.normal(size=(3, 4, 1, 1))}
    constants = {name: value.astype(np.float32) for name, value in constants.items()}
    onnx.save(build(nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)], constants), str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


# --- histograms ------------------------------------------------------------------------------------------------------


def histogram(*arrays):
    made = Histogram()
    for array in arrays:
        made.add(np.asarray(array, np.float32), "x")
    return made


def test_a_histogram_grows_in_range_and_not_in_size():
    parts = [RNG.normal(size=1000) * scale for scale in (1e-6, 1.0, 1e5)]
    made = histogram(*parts)
    values = np.abs(np.concatenate(parts).astype(np.float32))
    assert made.counts.shape == (BINS,)
    assert made.counts.sum() == 3000
    assert made.largest == values.max()
    assert made.largest <= made.limit < 2 * made.largest
    edges = np.linspace(0, made.limit, BINS + 1)
    np.testing.assert_allclose(made.counts, np.histogram(values, edges)[0], atol=2)  # rounding at the edges


def test_the_order_of_the_batches_hardly_matters():
    parts = [RNG.normal(size=5000) * scale for scale in (0.1, 1.0, 3.0)]
    for method in ("minmax", "percentile", "entropy"):
        there, back = (threshold(histogram(*given), method, 0.999) for given in (parts, parts[::-1]))
        assert there == pytest.approx(back, rel=0.05)


def test_zeros_and_nothing():
    for made in (histogram(), histogram(np.zeros((2, 3))), histogram(np.zeros((0, 3)))):
        for method in ("minmax", "percentile", "entropy"):
            assert threshold(made, method, 0.999) == 0.0
    made = histogram(np.zeros(1000), np.ones(1000))
    assert (made.counts[0], made.counts[-1]) == (1000, 1000)


def test_minmax_and_percentile():
    values = RNG.permutation(np.arange(1, 10_001, dtype=np.float32))
    made = histogram(values[:5000], -values[5000:])
    assert threshold(made, "minmax", 0.5) == 10_000
    for quantile in (0.5, 0.9, 0.999):
        assert threshold(made, "percentile", quantile) == pytest.approx(quantile * 10_000, abs=20_000 / BINS)
    assert threshold(made, "percentile", 1.0) == 10_000


def test_entropy_cuts_outliers_and_nothing_else():
    values = np.abs(RNG.normal(size=200_000))
    with_outliers = np.append(values, np.full(3, 60.0))
    assert threshold(histogram(with_outliers), "minmax", 0.9) == 60
    assert 2 < threshold(histogram(with_outliers), "entropy", 0.9) < 8
    assert threshold(histogram(RNG.uniform(size=200_000)), "entropy", 0.9) > 0.9


def test_entropy_keeps_all_of_a_few_values():
    """Pixels of 17 shades, each in a bin of its own: any cut would lose some."""
    assert threshold(histogram(RNG.integers(0, 17, 10_000) / 16), "entropy", 0.9) == 1.0


def test_entropy_agrees_with_the_plain_definition():
    """Against the sums written out, for one histogram with gaps."""
    counts = histogram(np.append(RNG.gamma(2.0, size=3000), 30.0)).counts
    bins = counts.astype(float)
    bins[0] = bins[1]
    best = (np.inf, 0)
    used = int(np.flatnonzero(counts)[-1]) + 1
    for kept in range(128, used + 1):
        reference = bins[:kept].copy()
        reference[-1] += bins[kept:].sum()
        quantised = np.zeros(kept)
        levels = [[] for _ in range(128)]
        for index in range(kept):
            levels[index * 128 // kept].append(index)
        for level in levels:
            present = [index for index in level if bins[index] > 0]
            for index in present:
                quantised[index] = sum(bins[level]) / len(present)
        if reference[-1] and not quantised[-1]:
            continue
        p, q = reference / reference.sum(), quantised / quantised.sum()
        divergence = sum(p[i] * np.log(p[i] / q[i]) for i in range(kept) if p[i])
        if divergence <= best[0] + 1e-9:
            best = (min(divergence, best[0]), kept)
    made = Histogram(counts, 1.0, 1.0)
    assert threshold(made, "entropy", 0.9) == pytest.approx(best[1] / BINS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite(value):
    with pytest.raises(ModelError, match="NaN or infinity in 'x'"):
        histogram([1.0, value])


# --- stopping and going on -------------------------------------------------------------------------------------------


class StoppedError(Exception):
    pass


def stopped(model, data, at, output="q.onnx", **keywords):
    """Runs a calibration and stops it once ``at`` samples are done."""

    def stop(done, _):
        if done >= at:
            raise StoppedError

    with pytest.raises(StoppedError):
        quantize(model, model.parent / output, data, progress=stop, **keywords)
    assert not (model.parent / output).exists()
    return state_path(model.parent / output)


class Counting:
    """A factory that counts the passes over its rows."""

    def __init__(self, rows):
        self.rows = rows
        self.passes = 0

    def __call__(self):
        self.passes += 1
        return iter(self.rows)


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_it_goes_on_and_gives_the_same(model, method):
    quantize(model, model.parent / "whole.onnx", DATA, method)
    state = stopped(model, DATA, 24)
    assert state.is_file()
    report = quantize(model, model.parent / "q.onnx", DATA, method)  # a method of its own: the histograms serve all
    assert (report.samples, report.batches, report.resumed) == (40, 5, 3)
    assert report.notes == ("3 of 5 batches were done by an earlier run",)
    assert not state.exists()
    assert (model.parent / "q.onnx").read_bytes() == (model.parent / "whole.onnx").read_bytes()


def test_batches_that_were_done_are_not_run_again(model, monkeypatch):
    stopped(model, DATA, 24)
    runs = []
    real = collect._run
    monkeypatch.setattr(collect, "_run", lambda *given: runs.append(1) or real(*given))
    quantize(model, model.parent / "q.onnx", DATA)
    assert len(runs) == 2


@pytest.mark.parametrize("first", [True, False])
def test_other_data_begins_anew(model, first):
    stopped(model, DATA, 24)
    other = DATA.copy()
    other[0 if first else 20] += 1
    report = quantize(model, model.parent / "q.onnx", Counting(other))
    assert (report.samples, report.resumed) == (40, 0)
    assert report.notes == ("an earlier calibration, stopped half-way, had other data: begun anew",)


def test_a_generator_that_differs_later_is_said(model):
    state = stopped(model, DATA, 24)
    other = DATA.copy()
    other[20] += 1
    with pytest.raises(UsageError, match="gives other samples than before"):
        quantize(model, model.parent / "q.onnx", iter(other))
    assert not state.exists()
    assert quantize(model, model.parent / "q.onnx", iter(other)).samples == 40
    stopped(model, iter(DATA), 24, "g.onnx")
    assert quantize(model, model.parent / "g.onnx", iter(DATA)).resumed == 3
    stopped(model, iter(DATA), 24, "h.onnx")
    assert quantize(model, model.parent / "h.onnx", iter(DATA[::-1])).samples == 40


@pytest.mark.parametrize("change", ["model", "batch", "damage"])
def test_what_does_not_fit_begins_anew(model, change):
    state = stopped(model, DATA, 24)
    data = CalibrationData(DATA, batch_size=8)
    if change == "model":
        graph = onnx.load(str(model))
        graph.doc_string = "another"
        onnx.save(graph, str(model))
    elif change == "batch":
        data = CalibrationData(DATA, batch_size=4)
    else:
        state.write_bytes(state.read_bytes()[:-100])
    report = quantize(model, model.parent / "q.onnx", data)
    assert (report.samples, report.resumed) == (40, 0)
    assert len(report.notes) == 1
    assert "begun anew" in report.notes[0]


def test_data_that_fails_half_way_goes_on_when_it_is_mended(model):
    broken = DATA.copy()
    broken[30] = np.nan
    with pytest.raises(UsageError, match="sample 30"):
        quantize(model, model.parent / "q.onnx", broken)
    assert quantize(model, model.parent / "q.onnx", DATA).resumed == 3


SLOW = """
import sys, time
import numpy as np
from tf2trt.calibration import collect, quantize
collect.SAVE_SECONDS = 0.0
def rows():
    for number, row in enumerate(np.load(sys.argv[3])):
        if number == 24:
            print("half", flush=True)
            time.sleep(600)
        yield row
quantize(sys.argv[1], sys.argv[2], rows)
"""


def test_killed_half_way(model, tmp_path):
    """SIGKILL: no clean-up of any kind. What was there last is whole, and the next run goes on from it."""
    np.save(tmp_path / "rows.npy", DATA)
    output = tmp_path / "q.onnx"
    command = [sys.executable, "-c", SLOW, str(model), str(output), str(tmp_path / "rows.npy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half\n"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    report = quantize(model, output, tmp_path / "rows.npy")
    assert (report.samples, report.resumed) == (40, 3)
    assert output.is_file()
    assert not state_path(output).exists()


def test_states_are_written_now_and_then(model, monkeypatch):
    written = []
    real = collect._write_state
    monkeypatch.setattr(collect, "_write_state", lambda *given: written.append(time.monotonic()) or real(*given))
    quantize(model, model.parent / "q.onnx", DATA)
    assert len(written) == 1  # at the end, until the file is there
    monkeypatch.setattr(collect, "SAVE_SECONDS", 0.0)
    quantize(model, model.parent / "q.onnx", DATA)
    assert len(written) == 1 + 5 + 1


MEMORY = """
import resource, sys
import numpy as np
from tf2trt.calibration import CalibrationData, quantize
count = int(sys.argv[3])
rows = lambda: (np.full((3, 256, 256), i % 7, np.float32) for i in range(count))
quantize(sys.argv[1], sys.argv[2], CalibrationData(rows, batch_size=4), "entropy")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_data(model, tmp_path):
    """60 more batches, of 8 MB of activations each, which ONNX Runtime's own calibrators would keep."""

    def peak(count):
        command = [sys.executable, "-c", MEMORY, str(model), str(tmp_path / f"{count}.onnx"), str(count)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    few, many = peak(16), peak(256)
    print(f"peak {few} MiB for 16 samples, {many} MiB for 256")
    assert many < few + 60
