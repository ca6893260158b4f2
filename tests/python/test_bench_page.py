"""The HTML page and the SVG file of a benchmark, in a real browser."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest
from bench_results import HOSTILE, make_result

from tf2trt.bench import page, words
from tf2trt.bench.page_axis import Axis, axis
from tf2trt.bench.page_bars import times_as_good
from tf2trt.bench.page_distributions import density, relative_axis
from tf2trt.bench.page_parts import MEASURES
from tf2trt.errors import OutputError, UsageError
from tf2trt.page import escape

_CELLS = """selector => [...document.querySelectorAll(selector)].map(row => ({
    name: (row.querySelector(".subject") || row.cells[0]).innerText,
    first: row.cells[0].innerText,
    values: [...row.querySelectorAll("data")].map(each => each.value),
    texts: [...row.querySelectorAll("data")].map(each => each.innerText),
    last: row.cells[row.cells.length - 1].innerText,
}))"""


@pytest.fixture(scope="module")
def result():
    return make_result()


@pytest.fixture(scope="module")
def path(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "bench.html"
    page.write(result, path)
    return path


def test_the_tables_hold_the_json_s_figures(browser, path, result):
    values = result.to_json()  # what --json writes
    with browser.open(path) as opened:
        for regime in words.regimes(result):
            shown = opened.page.evaluate(_CELLS, f'table[data-regime="{regime}"] tbody tr')
            rows = sorted((row for row in values["rows"] if row["regime"] == regime), key=lambda row: row["batch"])
            assert [each["name"] for each in shown] == [row["subject"] for row in rows]
            for each, row in zip(shown, rows):
                times = [row[name] for name in ("p50_ms", "p90_ms", "p99_ms", "mean_ms", "spread_ms")]
                times += row["interval_ms"]
                figures = [row["batch"], *times, row["throughput"], row["calls"]]
                assert [float(value) for value in each["values"]] == figures
                texts = [words.milliseconds(time) for time in times]
                texts += [words.samples_per_second(row["throughput"]), f"{row['calls']:,}"]
                assert each["texts"] == [str(row["batch"]), *texts]
                assert ("VOID" in each["first"]) == bool(row["void"])
                assert each["last"] == "; ".join(row["void"])
        subjects = opened.page.evaluate(_CELLS, "table.subjects tbody tr")
        assert [each["name"] for each in subjects] == [subject["name"] for subject in values["subjects"]]
        names = ("build_seconds", "engine_bytes", "load_seconds", "first_answer_seconds")
        names += ("host_peak_bytes", "device_peak_bytes", "coverage")
        for each, subject in zip(subjects, values["subjects"]):
            known = [subject[name] for name in names if subject[name] is not None]
            assert [float(value) for value in each["values"]] == known
        opened.check_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_readable_on_a_phone_and_a_desk_in_light_and_dark(browser, path, scheme, width):
    with browser.open(path, width=width, scheme=scheme) as opened:
        for measure in ("latency", "throughput"):
            opened.page.locator(f'[data-value="{measure}"]').click()
            opened.check_readable()
        opened.check_quiet()


def test_the_machine_with_its_units(browser, path):
    with browser.open(path) as opened:
        cells = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
        lines = dict(opened.page.locator(".environment tr").evaluate_all(cells))
    assert lines["gpu name"] == "NVIDIA H200"
    assert lines["gpu power limit"] == "700 W"
    assert lines["gpu persistence mode"] == "yes"
    assert lines["libraries"] == "numpy 1.26.4, tensorrt 8.6.0, tensorflow 2.17.1"
    assert lines["monitor sm clock"] == "1,978.4 MHz (1,965 MHz to 1,980 MHz)"
    assert lines["monitor memory used"] == "2,003 MiB (572 MiB to 3,052 MiB)"
    assert lines["notes"] == "a note"
    assert not any("None" in text for text in lines.values())


def test_charts_show_what_the_buttons_choose(browser, path, result):
    with browser.open(path) as opened:
        visible = opened.page.locator("figure:visible")
        assert visible.count() == 3
        assert all("host to host" in text for text in visible.locator("figcaption").all_inner_texts())
        for name in ("gpu", "8", "throughput"):
            opened.page.locator(f'[data-value="{name}"]').click()
        bars, curves, spreads = visible.locator("figcaption").all_inner_texts()
        assert bars == "throughput in samples/s, GPU only, batch 8; longer is better"
        assert curves.startswith("throughput in samples/s over the batch, GPU only")
        assert "GPU only, batch 8" in spreads
        shown = [float(each.get_attribute("value")) for each in opened.page.locator(".bars:visible data").all()]
        rows = words.rows_of(result, "gpu", 8)
        holding = sorted((row.throughput for row in rows if not row.void), reverse=True)
        assert shown == holding + [row.throughput for row in rows if row.void]
        assert "VOID" in opened.page.locator(".bars:visible .row").last.inner_text()
        widths = [each.bounding_box()["width"] for each in opened.page.locator(".bars:visible .fill").all()]
        assert widths == pytest.approx([widths[0] * value / shown[0] for value in shown], abs=1.5)


def test_what_was_not_measured_is_said(browser, result, tmp_path):
    rows = tuple(row for row in result.rows if (row.regime, row.batch) != ("gpu", 8))
    page.write(dataclasses.replace(result, rows=rows), tmp_path / "p.html")
    with browser.open(tmp_path / "p.html") as opened:
        nothing = opened.page.locator(".nothing")
        assert not nothing.is_visible()
        for name, seen in (("8", False), ("gpu", True), ("32", False)):
            opened.page.locator(f'[data-value="{name}"]').click()
            assert nothing.is_visible() == seen
        opened.check_quiet()


def test_details_under_the_mouse_by_keyboard_and_when_tapped(browser, path, result):
    row = min(words.rows_of(result, "serial", 1), key=lambda each: each.p50_ms)
    with browser.open(path, touch=True) as opened:
        tip, bar = opened.page.locator("#tip"), opened.page.locator(".bars:visible .row").first
        assert not tip.is_visible()
        bar.hover()
        assert f"p50 {words.milliseconds(row.p50_ms)} ms" in tip.inner_text()
        opened.page.keyboard.press("Escape")
        assert not tip.is_visible()
        opened.page.locator(".curves:visible .column").nth(1).tap()
        assert tip.inner_text().startswith("batch 8, host to host, ms\n")
        assert "1.907  tf-trt fp16 (VOID)" in tip.text_content()
        opened.page.locator("h1").tap()
        assert not tip.is_visible()
        opened.page.locator('[data-value="throughput"]').focus()  # the last button before the bars
        opened.page.keyboard.press("Tab")
        assert f"slowest {words.milliseconds(row.quantiles_ms[-1])} ms" in tip.inner_text()
        assert tip.is_visible()
        box = tip.bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0


def test_without_a_script_all_charts_are_there(path, result):
    text = path.read_text("utf-8")
    groups = len(words.regimes(result)) * len(words.batches(result.rows))
    assert text.count("<figure") == 2 * groups + groups + 2 * len(words.regimes(result))
    assert not re.search("<figure[^>]*hidden", text)


def test_what_must_not_be_used_stands_first(browser, path):
    with browser.open(path) as opened:
        notice = opened.page.locator(".notice")
        assert notice.locator("li").all_inner_texts()[:2] == [
            "FAILED mobilenet: the ONNX file holds NonZero",
            "VOID tf-trt fp16, batch 8, GPU only: a segment fell back to TensorFlow",
        ]
        assert notice.bounding_box()["y"] < opened.page.locator(".cards").bounding_box()["y"]
        assert all("tf-trt" not in text for text in opened.page.locator(".card").all_inner_texts())


def test_hostile_names_stay_text(browser, tmp_path):
    result = make_result((1, 8), hostile=True)
    page.write(result, tmp_path / "p.html")
    page.picture(result, tmp_path / "p.svg")
    shown = f"resnet50 fp16 {HOSTILE}".replace("\x1b", "")
    with browser.open(tmp_path / "p.html", width=400) as opened:
        assert opened.page.locator("img").count() == 0
        assert shown in opened.page.locator("table.subjects td").all_inner_texts()
        assert any(shown in each.get_attribute("data-tip") for each in opened.page.locator(".bars:visible .row").all())
        opened.check_readable()
        opened.check_quiet()
    with browser.open(tmp_path / "p.svg") as opened:
        assert opened.page.locator("script, img").count() == 0
        opened.check_quiet()


@pytest.mark.parametrize(
    "result",
    [
        make_result((1,), ("gpu",)),
        make_result((4,), ("pipelined",), void=False),
        dataclasses.replace(make_result(), rows=(), environment={}),
        dataclasses.replace(make_result(), subjects=(), environment={"gpu": None, "monitor": {"reason": "no NVML"}}),
    ],
    ids=["one batch", "pipelined only", "all failed", "no gpu"],
)
def test_less_than_everything_is_a_page_too(browser, tmp_path, result):
    page.write(result, tmp_path / "p.html")
    with browser.open(tmp_path / "p.html", width=400) as opened:
        assert opened.page.locator("h1").inner_text().startswith("Benchmark")
        watched = (result.environment.get("monitor") or {}).get("reason") is None
        assert opened.page.locator(".warned").count() == (0 if watched else 1)
        assert opened.page.locator("figure:visible").count() == (
            0 if not result.rows else 3 if len(words.batches(result.rows)) > 1 else 2
        )
        opened.check_readable()
        opened.check_quiet()


def test_a_page_is_written_whole_or_not_at_all(tmp_path, result):
    with pytest.raises(OutputError):
        page.write(result, tmp_path / "missing" / "p.html")
    with pytest.raises(UsageError, match="without rows"):
        page.picture(dataclasses.replace(result, rows=()), tmp_path / "p.svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_is_one_readable_file(browser, tmp_path, result, scheme):
    page.picture(result, tmp_path / "p.svg")
    tree = ElementTree.parse(tmp_path / "p.svg")
    text = " ".join(tree.getroot().itertext())
    assert "host to host" in text
    assert "NVIDIA H200" in text
    for row in words.rows_of(result, "serial"):
        assert words.milliseconds(row.p50_ms) in text
    with browser.open(tmp_path / "p.svg", width=960, scheme=scheme) as opened:
        ground = opened.page.evaluate("getComputedStyle(document.querySelector('rect.panel')).fill")
        assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(24, 32, 41)")
        sizes = opened.page.evaluate(
            "[...document.querySelectorAll('text')].map(each => [parseFloat(getComputedStyle(each).fontSize),"
            " each.getBBox().x + each.getBBox().width])"
        )
        assert min(size for size, _ in sizes) >= 12
        assert max(right for _, right in sizes) <= 960
        opened.check_quiet()


def test_more_batches_than_the_picture_has_columns(tmp_path):
    result = make_result((1, 2, 4, 8, 16, 32), ("gpu",), void=False)
    page.picture(result, tmp_path / "p.svg")
    text = (tmp_path / "p.svg").read_text()
    assert [batch for batch in (1, 2, 4, 8, 16, 32) if f">batch {batch}<" in text] == [1, 4, 8, 32]
    assert escape("GPU only: CUDA events around each launch") in text


def test_factors_are_against_the_last_that_holds(result):
    rows = sorted(words.rows_of(result, "serial", 8), key=lambda row: row.p50_ms)
    holding = [row for row in rows if not row.void]
    factors = dict(zip([row.subject for row in rows], times_as_good(rows, MEASURES[0])))
    assert factors["tensorflow"] == "1.00\N{MULTIPLICATION SIGN}"
    assert factors["tf-trt fp16"] == ""
    best = holding[-1].p50_ms / holding[0].p50_ms
    assert factors[holding[0].subject] == f"{best:.2f}\N{MULTIPLICATION SIGN}"
    assert times_as_good(rows[:1], MEASURES[0]) == [""]


def test_the_density_has_its_mass_where_the_calls_are(result):
    row = result.rows[0]
    where = Axis(row.quantiles_ms[0] / row.p50_ms - 1, row.quantiles_ms[100] / row.p50_ms - 1, False)
    bins = density(row, where)
    assert max(bins) == 1
    assert min(bins) >= 0
    middle = next(
        number for number in range(len(bins)) if sum(bins[: number + 1]) >= sum(bins) / 2
    )  # half of the mass lies left of the median
    assert middle == pytest.approx(where.share(0.0) * len(bins), abs=1.5)
    same = dataclasses.replace(row, p50_ms=1.0, quantiles_ms=(1.0,) * 101)
    assert sum(density(same, relative_axis((same,)))) == 1


@pytest.mark.parametrize(
    ("values", "logarithmic", "ticks"),
    [
        ([1.0, 10.0], False, [0, 2, 4, 6, 8, 10]),
        ([0.3, 1.1], False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([0.5, 40.0], True, [0.5, 1, 2, 5, 10, 20, 50]),
        ([130.0, 36_000.0], True, [300, 1000, 3000, 10_000, 30_000]),
        ([1e-3, 1e6], True, [1e-3, 1e-1, 1e1, 1e3, 1e5]),
        ([0.0, 0.0], False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_axes_and_their_round_values(values, logarithmic, ticks):
    found = axis(values)
    assert found.logarithmic == logarithmic
    assert found.ticks(7 if len(ticks) == 7 else 6) == pytest.approx(ticks)
    assert all(0 <= found.share(value) <= 1 for value in values)
