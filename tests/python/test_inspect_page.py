"""The pages of inspect, opened in headless Chromium."""

import json
from dataclasses import replace

import pytest
from fake_gpu import plan
from inspector_samples import ResNet, write_engine

from tf2trt.inspect import compare, inspect
from tf2trt.inspect.engine_network import network_from_information
from tf2trt.inspect.page import comparison_page, inspection_page

NASTY = "</script><b>&\"'\x1e"


def opened(inspection, sample):
    """What it would be, had TensorRT opened it."""
    network = network_from_information(sample.information, "r", inspection.inputs, inspection.outputs)
    layers = tuple(layer.from_nodes(sample.origins) for layer in network.layers)
    network, _ = replace(network, layers=layers).timed(sample.times)
    return replace(inspection, network=network, source="inspector", times="profile")


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Two engines of one network, FP16 and FP32, as TensorRT 8.6 would describe them."""
    folder, found = tmp_path_factory.mktemp("engines"), []
    for precision in ("float16", "float32"):
        sample = ResNet(precision, seed=len(found))
        onnx = sample.save(folder / "resnet.onnx")
        path = write_engine(folder / f"{precision}.engine", plan("static", (8, 2, 9)), sample, onnx=onnx)
        found.append(opened(inspect(path), sample))
    return found


@pytest.fixture(scope="module")
def page(engines, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "r.html"
    path.write_text(inspection_page(engines[0], "time"), encoding="utf-8")
    return path


def rows(page):
    return page.locator("#layers tbody tr").all_inner_texts()


def test_the_figures_are_those_of_the_json(browser, page, engines):
    assert page.stat().st_size < 2_000_000
    value = json.loads(json.dumps(engines[0].to_json()))
    with browser.open(page) as opened_page:
        assert opened_page.page.evaluate("document.documentElement.dataset.ready") == "yes"
        cells = opened_page.page.evaluate(
            "[...document.querySelectorAll('#layers tbody tr')].map(r => [...r.children].map(c => c.textContent))"
        )
        assert len(cells) == len(value["layers"]) == 57
        for place, (row, layer) in enumerate(zip(cells, value["layers"])):
            origins = layer["keras_layers"] or [layer["name"]]
            assert row[0] == str(place)
            assert row[1].startswith(" + ".join(origins))
            assert row[2:6] == [
                layer["kind"],
                layer["precision"],
                "x".join(map(str, layer["outputs"][0]["shape"])),
                f"{layer['ms']:.4f}",
            ]
            assert row[6] == layer["tactic"]
        assert opened_page.page.locator("#view-a .layer").count() == 57
        assert opened_page.page.locator("#view-b .layer").count() == len(value["before"])
        assert f"{value['ms']:.3f} ms" in opened_page.page.inner_text("#summary")
        opened_page.check_quiet()


def test_search_sorting_and_a_layers_details(browser, page, engines):
    with browser.open(page) as opened_page:
        tab = opened_page.page
        tab.fill("#search", "conv3_block2_2_conv/conv relu")
        visible = tab.locator("#layers tbody tr:visible")
        assert visible.count() == 1
        assert "conv3_block2_2_conv + conv3_block2_2_relu" in visible.inner_text()
        assert tab.inner_text("#count") == "1 of 57 layers"
        assert tab.locator("#view-a .layer:not(.off)").count() == 1
        assert tab.locator("#view-b .layer:not(.off)").count() == 2  # the convolution (after a Relu) and its Relu
        frame, box = (tab.locator(each).bounding_box() for each in (".canvas", "#view-a .layer:not(.off)"))
        assert frame["y"] < box["y"] < frame["y"] + frame["height"]  # the picture went there
        visible.click()
        assert "chosen" in tab.locator("#view-a .layer:not(.off)").get_attribute("class")
        detail = tab.inner_text("#detail")
        for words in ("resnet50_1/conv3_block2_2_conv/Conv", "1x16x28x28", "sm80_xmma", "Channel major FP16"):
            assert words in detail
        tab.click("#detail button")
        assert not tab.is_visible("#detail")
        tab.fill("#search", "")
        assert visible.count() == 57
        tab.click("#layers th button >> text=ms")
        times = [float(text) for text in tab.locator("#layers td.time").all_inner_texts()]
        assert times == sorted(times, reverse=True)
        tab.click("#layers th button >> text=type")
        kinds = tab.locator("#layers td[data-label=type]").all_inner_texts()
        assert kinds == sorted(kinds)
        for _ in range(2):
            tab.click("#layers th button >> text=type")
        assert tab.locator("#layers td:first-child").all_inner_texts() == [str(place) for place in range(57)]
        opened_page.check_quiet()


def test_the_picture_switches(browser, page):
    with browser.open(page) as opened_page:
        tab = opened_page.page
        box = tab.locator("#view-a .layer rect").nth(1)
        by_time = box.evaluate("each => getComputedStyle(each).fill")
        tab.click("[data-color=precision]")
        by_precision = box.evaluate("each => getComputedStyle(each).fill")
        assert by_time != by_precision == "rgb(195, 230, 197)"
        tab.click("#theme")
        assert box.evaluate("each => getComputedStyle(each).fill") == "rgb(29, 84, 49)"
        assert tab.is_visible("#view-a")
        assert not tab.is_visible("#view-b")
        tab.click("[data-view=b]")
        assert tab.is_visible("#view-b")
        assert not tab.is_visible("#view-a")
        tab.locator("#view-b .layer").nth(3).click()
        assert tab.is_visible("#detail")
        width = tab.locator("#view-b").evaluate("each => each.getBoundingClientRect().width")
        tab.click("#in")
        assert tab.locator("#view-b").evaluate("each => each.getBoundingClientRect().width") == pytest.approx(
            1.25 * width
        )
        opened_page.check_quiet()


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1200, "dark")])
def test_pages_can_be_read(browser, page, engines, tmp_path, width, scheme):
    other = tmp_path / "diff.html"
    other.write_text(comparison_page(compare(*engines), "time"), encoding="utf-8")
    for path in (page, other):
        with browser.open(path, width=width, scheme=scheme) as opened_page:
            opened_page.check_readable()
            opened_page.check_quiet()


def test_two_files_side_by_side(browser, engines, tmp_path):
    comparison = compare(*engines)
    path = tmp_path / "diff.html"
    path.write_text(comparison_page(comparison, "precision"), encoding="utf-8")
    value = comparison.to_json()
    with browser.open(path) as opened_page:
        tab = opened_page.page
        cells = tab.evaluate(
            "[...document.querySelectorAll('#layers tbody tr')].map(r => [...r.children].map(c => c.textContent))"
        )
        assert len(cells) == len(value["pairs"]) == 57
        for row, pair in zip(cells, value["pairs"]):
            known = [pair["first_ms"], pair["second_ms"]]
            assert row[2:4] == ["" if time is None else f"{time:.4f}" for time in known]
        assert tab.inner_text("#differences").splitlines()[1:]
        assert tab.is_visible("#view-a")
        assert tab.is_visible("#view-b")
        tab.check("#differing")
        assert tab.locator("#layers tbody tr:visible").count() == sum(pair.differs for pair in comparison.pairs)
        opened_page.check_quiet()


def test_odd_names_are_only_names(browser, engines, tmp_path):
    layer = replace(engines[0].network.layers[0], name=NASTY, keras=(NASTY,), tactic=NASTY, details={NASTY: NASTY})
    network = replace(engines[0].network, layers=(layer, *engines[0].network.layers[1:]))
    found = replace(engines[0], path=f"/tmp/{NASTY}", network=network, notes=(NASTY,), plugins={NASTY: NASTY})
    path = tmp_path / "odd.html"
    path.write_text(inspection_page(found, "time"), encoding="utf-8")
    with browser.open(path) as opened_page:
        tab = opened_page.page
        tab.locator("#layers tbody tr").first.click()
        assert "</script><b>&\"'" in tab.inner_text("#detail")
        assert tab.locator("main b b").count() == 0
        opened_page.check_quiet()


def test_files_without_layers_or_times(browser, tmp_path, small_onnx):
    bare = tmp_path / "bare.engine"
    bare.write_bytes(plan("static", (9, 1, 2)))
    onnx = ResNet().save(tmp_path / "resnet.onnx")
    without_proof = write_engine(tmp_path / "old.engine", plan("static", (8, 2, 9)), onnx=onnx)
    for source in (bare, small_onnx, without_proof):
        path = tmp_path / "page.html"
        path.write_text(inspection_page(inspect(source), "precision"), encoding="utf-8")
        with browser.open(path) as opened_page:
            assert opened_page.page.evaluate("document.documentElement.dataset.ready") == "yes"
            opened_page.check_readable()
            opened_page.check_quiet()
