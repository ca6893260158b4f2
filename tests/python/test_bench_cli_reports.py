"""The files that ``tf2trt bench`` writes and the status that it ends with, for results that were never measured."""

import csv
import dataclasses
import json

import pytest
from bench_results import make_result

from tf2trt.bench.results import BenchResult


@pytest.fixture
def bench(cli, monkeypatch, tmp_path):
    """bench(result, *arguments): the command, whose measuring gives this result."""

    def call(result, *arguments):
        monkeypatch.setattr("tf2trt.bench.run.run_bench", lambda options, **more: result)
        return cli("bench", "m.engine", *arguments)

    return call


@pytest.fixture(scope="module")
def holds():
    result = make_result((1,), ("gpu", "serial"), void=False)
    return dataclasses.replace(result, subjects=result.subjects[:-1])  # without the one that failed


def test_every_report_at_once(bench, holds, tmp_path):
    files = [tmp_path / name for name in ("r.json", "r.csv", "r.html", "r.svg")]
    options = ("--json", files[0], "--csv", files[1], "--html", files[2], "--picture", files[3])
    done = bench(holds, *options)
    assert done.status == 0, done.err
    assert BenchResult.from_json(json.loads(files[0].read_text())) == holds
    assert len(list(csv.DictReader(files[1].open()))) == len(holds.rows)
    assert files[2].read_text().startswith("<!DOCTYPE html>")
    assert files[3].read_text().startswith("<svg ")
    for title in ("GPU only: CUDA events", "host to host: one call", "Subjects", "a note"):
        assert title in done.out


def test_json_on_standard_output_is_all_there_is(bench, holds):
    done = bench(holds, "--json")
    assert json.loads(done.out) == json.loads(json.dumps(holds.to_json()))
    assert "host to host" in done.err


def test_void_rows_and_failures_end_with_1(bench, holds):
    assert bench(make_result((8,)), "--json").status == 1
    assert bench(dataclasses.replace(holds, subjects=make_result((1,)).subjects)).status == 1


@pytest.mark.parametrize(("scale", "status", "word"), [(1.0, 0, "same"), (1.5, 1, "slower"), (0.5, 0, "faster")])
def test_a_baseline_fails_what_is_slower(bench, holds, tmp_path, scale, status, word):
    (tmp_path / "before.json").write_text(json.dumps(holds.to_json()))
    now = dataclasses.replace(make_result((1,), ("gpu", "serial"), void=False, scale=scale), subjects=holds.subjects)
    done = bench(now, "--baseline", tmp_path / "before.json")
    assert done.status == status
    assert word in done.out


def test_nothing_measured_is_no_picture(bench, holds, tmp_path):
    done = bench(dataclasses.replace(holds, rows=()), "--picture", tmp_path / "r.svg")
    assert "nothing was measured" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--csv", "--html", "--picture"])
def test_a_file_that_cannot_be_written_is_told_before_all(bench, tmp_path, option):
    done = bench(None, option, tmp_path / "missing" / "r")
    assert done.status == 1
    assert "mkdir -p" in done.err
