"""A row's figures, and whether the spread that it reports is one that two runs keep to."""

import json

import numpy as np
import pytest

from tf2trt.bench import statistics
from tf2trt.bench.results import BenchResult
from tf2trt.bench.statistics import make_row, t_quantile
from tf2trt.errors import UsageError


def row(turns, **more):
    return make_row("a", 4, "serial", turns, **{"samples_per_call": 4, **more})


def test_figures_of_known_times():
    found = row([[1.0, 2.0, 3.0], [4.0, 5.0]], void=["because"])
    assert (found.subject, found.batch, found.regime, found.calls, found.void) == ("a", 4, "serial", 5, ("because",))
    assert (found.p50_ms, found.mean_ms, found.turns_p50_ms) == (3.0, 3.0, (2.0, 4.5))
    assert found.p90_ms == pytest.approx(4.6)
    assert found.p99_ms == pytest.approx(4.96)
    assert found.throughput == pytest.approx(4 * 5 / 15e-3)
    assert len(found.quantiles_ms) == 101
    assert (found.quantiles_ms[0], found.quantiles_ms[50], found.quantiles_ms[100]) == (1.0, found.p50_ms, 5.0)
    assert found.interval_ms[0] == 0.0  # two turns say little, and time does not run backwards
    assert found.interval_ms[1] > 5.0


def test_throughput_of_calls_that_overlap_comes_from_the_wall_clock():
    assert row([[1.0, 2.0], [3.0, 4.0]], wall_seconds=[0.002, 0.003]).throughput == pytest.approx(16 / 0.005)


def test_a_row_is_plain_json():
    found = row([np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0])])
    values = json.loads(json.dumps(BenchResult("0", "", "", "", {}, (), (found,)).to_json()))
    assert BenchResult.from_json(values).rows == (found,)


def test_the_formula():
    medians = np.array([1.0, 1.2, 0.9, 1.1, 1.3])
    found = row([[value] * 9 for value in medians])
    off = medians - medians.mean()
    r = max(0.0, (off[1:] @ off[:-1]) / (off @ off) + 1 / 5)
    v = 1 + 2 * sum((1 - i / 5) * r**i for i in range(1, 5))
    error = np.sqrt(np.pi / 2 * v / 5 * 4 / (5 - v)) * np.std(medians, ddof=1)
    assert found.interval_ms == pytest.approx((1.1 - 2.7764 * error, 1.1 + 2.7764 * error))
    share = statistics.PROCESS_SHARE * found.p50_ms
    assert found.spread_ms == pytest.approx(np.sqrt(2 * (2.7764 * error) ** 2 + share**2))


def test_one_turn_is_cut_into_blocks():
    rng = np.random.default_rng(0)
    times = rng.normal(5, 0.5, 800)
    assert row([times]).spread_ms == pytest.approx(row(np.array_split(times, 8)).spread_ms)
    assert row([[1.0, 2.0]]).calls == 2


def test_equal_times_still_have_the_tick_of_the_clock(monkeypatch):
    monkeypatch.setattr(statistics, "PROCESS_SHARE", 0.0)
    assert row([[1.0] * 5] * 3).spread_ms == pytest.approx(2**-23)  # a step of single precision at 1
    assert row([[1.0, 1.0, 1.0, 1.5]] * 3).spread_ms == pytest.approx(0.5)


# Tables of Student's t for 97.5 %.
@pytest.mark.parametrize(
    ("degrees", "value"), [(1, 12.706), (4, 2.776), (10, 2.228), (11, 2.201), (15, 2.131), (30, 2.042), (120, 1.980)]
)
def test_t_quantiles(degrees, value):
    assert t_quantile(degrees) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize(
    ("turns", "wall"),
    [
        ([], None),
        ([[1.0]], None),
        ([[1.0, 2.0], []], None),
        ([[1.0, float("nan")]], None),
        ([[1.0, float("inf")]], None),
        ([[1.0, -1.0]], None),
        ([[1.0], [1.0]], [1.0]),
        ([[1.0], [1.0]], [1.0, 0.0]),
    ],
)
def test_bad_times_are_refused(turns, wall):
    with pytest.raises(UsageError):
        row(turns, wall_seconds=wall)


def even(rng, turns, calls):
    """Each call with noise of its own, nothing else."""
    return rng.normal(1, 0.03, (turns, calls))


def drift(rng, turns, calls):
    """Turns differ by more than calls do."""
    return even(rng, turns, calls) + rng.normal(0, 0.05, (turns, 1))


def slow_drift(rng, turns, calls):
    """And each turn is somewhat like the one before."""
    off = rng.normal(0, 0.05, turns)
    for turn in range(1, turns):
        off[turn] = 0.3 * off[turn - 1] + np.sqrt(1 - 0.3**2) * off[turn]
    return even(rng, turns, calls) + off[:, None]


def outliers(rng, turns, calls):
    """One call of 50 takes up to 20 times as long."""
    times = even(rng, turns, calls)
    return np.where(rng.random(times.shape) < 0.02, times * rng.uniform(2, 20, times.shape), times)


def skewed(rng, turns, calls):
    """Times with a long tail, of calls and of turns."""
    return rng.lognormal(0, 0.2, (turns, calls)) + rng.exponential(0.05, (turns, 1))


def coarse(rng, turns, calls):
    """A clock whose tick is larger than the noise."""
    return np.round(rng.normal(1.003, 0.01, (turns, calls)) / 0.02) * 0.02


@pytest.mark.parametrize("noise", [even, drift, slow_drift, outliers, skewed, coarse])
def test_two_runs_differ_by_less_than_the_spread_19_times_of_20(monkeypatch, noise):
    monkeypatch.setattr(statistics, "PROCESS_SHARE", 0.0)  # what turns show is enough here
    rng = np.random.default_rng(8)
    runs = [row(noise(rng, 8, 25)) for _ in range(800)]
    kept = [abs(a.p50_ms - b.p50_ms) <= a.spread_ms for a, b in zip(runs[::2], runs[1::2])]
    assert np.mean(kept) >= 0.95
    # A spread that is far too wide would hold too, and find no regression.
    if noise is not coarse:
        needed = np.quantile([abs(a.p50_ms - b.p50_ms) for a, b in zip(runs[::2], runs[1::2])], 0.95)
        assert np.median([each.spread_ms for each in runs]) < 3 * needed


def test_the_confidence_interval_holds_the_true_median_19_times_of_20():
    rng = np.random.default_rng(9)
    rows = [row(drift(rng, 8, 25)) for _ in range(400)]
    assert np.mean([each.interval_ms[0] <= 1 <= each.interval_ms[1] for each in rows]) >= 0.95
