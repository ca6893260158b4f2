import gc

import numpy as np
import pytest

from tf2trt.bench import Latency, measure, measure_gpu, time_calls
from tf2trt.errors import UsageError


class FakeEngine:
    def __init__(self):
        self.calls = []
        self.launches = []

    def __call__(self, inputs):
        self.calls.append(inputs)

    def time_launches(self, iterations):
        self.launches.append(iterations)
        return [0.5] * iterations


def test_percentiles():
    latency = Latency.from_samples([float(value) for value in range(1, 101)])
    assert latency.p50_ms == pytest.approx(50.5)
    assert latency.p90_ms == pytest.approx(90.1)
    assert latency.p99_ms == pytest.approx(99.01)
    assert latency.mean_ms == pytest.approx(50.5)
    assert latency.stdev_ms == pytest.approx(np.std(range(1, 101)))
    assert latency.iterations == 100
    assert latency.to_json()["p99_ms"] == latency.p99_ms


def test_no_samples():
    with pytest.raises(UsageError):
        Latency.from_samples([])


def test_one_sample_is_every_percentile():
    latency = Latency.from_samples([2.0])
    assert (latency.p50_ms, latency.p99_ms, latency.stdev_ms) == (2.0, 2.0, 0.0)
    assert str(latency) == "p50 2.000 ms, p90 2.000 ms, p99 2.000 ms, 1 runs"


def test_only_the_calls_after_the_warmup_are_timed():
    pauses = iter([0.05, 0.05, 0.0, 0.0, 0.0])
    import time

    latency = time_calls(lambda: time.sleep(next(pauses)), warmup=2, iterations=3)
    assert latency.iterations == 3
    assert latency.p99_ms < 40


def test_a_known_pause_is_measured():
    import time

    latency = time_calls(lambda: time.sleep(0.01), warmup=0, iterations=5)
    assert 10 <= latency.p50_ms < 100


def test_the_garbage_collector_rests_and_comes_back_even_after_an_error():
    seen = []
    time_calls(lambda: seen.append(gc.isenabled()), warmup=0, iterations=2)
    assert seen == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        time_calls(lambda: 1 / 0, warmup=0, iterations=1)
    assert gc.isenabled()


def test_an_engine_host_to_host_and_on_the_gpu():
    engine, inputs = FakeEngine(), {"x": 1}
    assert measure(engine, inputs, warmup=3, iterations=7).iterations == 7
    assert engine.calls == [inputs] * 10
    assert measure_gpu(engine, inputs, warmup=0, iterations=4).p50_ms == 0.5
    assert len(engine.calls) == 12  # two at least, so that the CUDA graph is there
    assert engine.launches == [4]
