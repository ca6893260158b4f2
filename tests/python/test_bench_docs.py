"""docs/bench.md names every key of the JSON file, and no other."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from fake_nvml import FakeNvml

from tf2trt.bench import environment, monitor
from tf2trt.bench.results import KINDS, REGIMES, SCHEMA, BenchResult, Row, SubjectFacts
from tf2trt.bench.statistics import PROCESS_SHARE
from tf2trt.bench.words import REGIME_MEANINGS

TEXT = (Path(__file__).parent.parent.parent / "docs" / "bench.md").read_text("utf-8")


def table(heading):
    """First and second column of the table under a heading."""
    section = re.split(r"^#+ ", TEXT.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "kind"), [("The result", BenchResult), ("A subject", SubjectFacts), ("A row", Row)]
)
def test_every_key_and_no_other(heading, kind):
    keys = [key for key, _ in table(heading)]
    assert sorted(keys) == sorted(field.name for field in fields(kind))


def test_the_environment(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.setenv("PATH", "")
    recorded = environment.record()
    run = ["monitor", "way", "seed", "notes"]  # what run_bench adds
    assert [key for key, _ in table("The environment")] == [*recorded, *run]
    assert [key for key, _ in table("The GPU")] == list(recorded["gpu"])
    assert [key for key, _ in table("The monitor")] == list(monitor.GpuMonitor().summary())


def test_values_that_the_document_names():
    assert dict(table("Regimes")) == dict(REGIMES)
    assert all(meaning in TEXT for meaning in REGIME_MEANINGS.values())
    assert dict(table("The result"))["schema"] == str(SCHEMA)
    assert re.findall(r"`([\w-]+)`", dict(table("A subject"))["kind"]) == list(KINDS)
    assert re.findall(r"`(\w+)`", dict(table("A row"))["regime"]) == list(REGIMES)
    assert f"({PROCESS_SHARE:g} * p50)^2" in TEXT
