"""What is made of a result beside the page: the terminal's tables, CSV, the comparison with an earlier run."""

import csv
import dataclasses
import io
import json

import pytest
from bench_results import HOSTILE, make_result, turns
from rich.console import Console

from tf2trt.bench import baseline, csv_file, words
from tf2trt.bench.results import REGIMES, BenchResult, SubjectFacts
from tf2trt.bench.statistics import make_row
from tf2trt.bench.table import render, render_changes
from tf2trt.errors import UsageError


@pytest.fixture(scope="module")
def result():
    return make_result()


def printed(renderable, width=160):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_every_table_names_its_regime_and_holds_its_figures(result):
    text = printed(render(result))
    for regime, title in REGIMES.items():
        assert f"{title}: {words.REGIME_MEANINGS[regime]}" in text
    for row in result.rows:
        for value in (row.p50_ms, row.p90_ms, row.p99_ms, row.mean_ms, row.spread_ms):
            assert words.milliseconds(value) in text
        assert words.samples_per_second(row.throughput) in text


def test_the_machine_and_whether_it_was_watched(result):
    text = printed(render(result))
    assert text.startswith("NVIDIA H200, driver 580.65.06, CUDA 13.0, 1,978 MHz, 242 W, 38 \N{DEGREE SIGN}C")
    assert "not watched" not in text
    unwatched = {**result.environment, "gpu": None, "monitor": {"source": None, "reason": "no NVML"}}
    text = printed(render(dataclasses.replace(result, environment=unwatched)))
    assert "the GPU was not watched, so that throttling was not looked for: no NVML" in text
    assert text.startswith("GPU only")


def test_void_rows_and_failed_subjects_are_loud(result):
    lines = printed(render(result)).splitlines()
    void = [line for line in lines if " VOID " in line]
    assert len(void) == 3 * 2  # in its table and below all
    assert sum("tf-trt fp16, batch 8, GPU only: a segment fell back to TensorFlow" in line for line in void) == 1
    assert any(" FAILED  mobilenet: the ONNX file holds NonZero" in line for line in lines)


def test_names_are_text_and_not_markup():
    result = make_result((1,), ("gpu",), hostile=True)
    name = "[bold]x[/bold] [/]"
    rows = (dataclasses.replace(result.rows[0], subject=name),)
    text = printed(render(dataclasses.replace(result, rows=rows)))
    assert name in text
    assert "\x1b[31m" not in text


def test_a_narrow_terminal_is_no_error(result):
    assert "VOID" in printed(render(result), width=40)


def test_a_result_without_rows_has_its_failures():
    text = printed(render(dataclasses.replace(make_result((1,)), rows=())))
    assert "FAILED" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00004, "0.0000"),
        (0.30123, "0.3012"),
        (1.23456, "1.235"),
        (12.3456, "12.35"),
        (1234.5, "1,234"),
        (0, "0.0000"),
    ],
)
def test_milliseconds(value, text):
    assert words.milliseconds(value) == text


def test_csv_has_a_line_for_each_row_and_each_failure(result, tmp_path):
    csv_file.write(result, tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(result.rows) + 1
    by_key = {(line["subject"], line["batch"], line["regime"]): line for line in lines}
    facts = {subject.name: subject for subject in result.subjects}
    for row in result.rows:
        line = by_key[row.subject, str(row.batch), row.regime]
        assert float(line["p50_ms"]) == row.p50_ms
        assert (float(line["interval_low_ms"]), float(line["interval_high_ms"])) == row.interval_ms
        assert tuple(map(float, line["turns_p50_ms"].split("; "))) == row.turns_p50_ms
        assert line["void"] == "; ".join(row.void)
        assert line["kind"] == facts[row.subject].kind
        assert line["load_seconds"] == str(facts[row.subject].load_seconds)
    failed = lines[-1]
    assert (failed["subject"], failed["p50_ms"], failed["error"]) == ("mobilenet", "", "the ONNX file holds NonZero")


def test_hostile_names_come_back_from_csv(tmp_path):
    result = make_result((1,), ("gpu",), hostile=True)
    csv_file.write(result, tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["subject"] == f"resnet50 fp16 {HOSTILE}"


def one(typical, *, subject="a", regime="serial", seed=1, void=(), error=None):
    """A result of one row, or of a subject that failed."""
    times = turns(seed, typical)
    wall = [sum(turn) / 1e3 for turn in times]
    row = make_row(subject, 1, regime, times, samples_per_call=1, wall_seconds=wall, void=void)
    facts = SubjectFacts(subject, "engine", "a", "fp16", error=error)
    return BenchResult("0", "", "", "tf2trt", {"gpu": {"name": "x"}}, (facts,), () if error else (row,))


@pytest.mark.parametrize("regime", list(REGIMES))
@pytest.mark.parametrize(("typical", "verdict"), [(1.0, "same"), (1.2, "slower"), (0.8, "faster")])
def test_a_change_past_the_noise_is_told(regime, typical, verdict):
    before, now = one(1.0, regime=regime), one(typical, regime=regime, seed=2)
    (change,) = baseline.compare(now, before)
    assert change.verdict == verdict
    assert change.regression == (verdict == "slower")
    assert change.measure == ("throughput" if regime == "pipelined" else "p50_ms")
    assert change.ratio == pytest.approx(1 / typical if regime == "pipelined" else typical, rel=0.03)
    assert change.noise > 0


def test_the_noise_is_the_larger_spread_of_both():
    before, now = one(1.0), one(1.05, seed=2)
    loud = dataclasses.replace(before.rows[0], spread_ms=0.2)
    assert baseline.compare(now, before)[0].verdict == "slower"
    assert baseline.compare(now, dataclasses.replace(before, rows=(loud,)))[0].verdict == "same"
    loud = dataclasses.replace(now.rows[0], spread_ms=0.2)
    assert baseline.compare(dataclasses.replace(now, rows=(loud,)), before)[0].verdict == "same"


def test_what_held_and_is_void_or_failed_now_is_a_regression():
    before = one(1.0)
    for now in (one(0.5, void=["it fell back"]), one(0.5, error="it does not load")):
        (change,) = baseline.compare(now, before)
        assert (change.verdict, change.regression) == ("void", True)


def test_a_void_baseline_and_a_subject_that_was_not_asked_for_fail_nothing():
    (change,) = baseline.compare(one(9.0), one(1.0, void=["it throttled"]))
    assert (change.verdict, change.regression) == ("missing", False)
    before = one(1.0)
    more = dataclasses.replace(before, rows=(*before.rows, dataclasses.replace(before.rows[0], subject="b")))
    assert [each.verdict for each in baseline.compare(one(1.0), more)] == ["same", "missing"]


def test_a_baseline_that_says_nothing_is_refused():
    before = one(1.0)
    with pytest.raises(UsageError, match="in common"):
        baseline.compare(one(1.0, subject="b"), before)
    with pytest.raises(UsageError, match="another GPU"):
        baseline.compare(one(1.0), dataclasses.replace(before, environment={"gpu": {"name": "y"}}))
    with pytest.raises(UsageError, match="another preset"):
        baseline.compare(one(1.0), dataclasses.replace(before, preset="trtexec-10"))


def test_a_baseline_comes_from_a_file_of_bench(tmp_path, result):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(result.to_json()))
    assert baseline.load(str(path)) == result
    for text in ("[]", "{", '{"schema": 99}', "{}"):
        path.write_text(text)
        with pytest.raises(UsageError):
            baseline.load(str(path))
    with pytest.raises(UsageError, match="No such file"):
        baseline.load(str(tmp_path / "missing.json"))


def test_changes_are_shown():
    changes = baseline.compare(one(1.3), one(1.0)) + baseline.compare(one(1.0, void=["x"]), one(1.0))
    changes += baseline.compare(one(1.0, error="x"), one(1.0, regime="pipelined"))
    text = printed(render_changes(changes))
    assert all(word in text for word in ("slower", "void", "samples/s", "\N{EN DASH}"))
