"""The frame that the HTML pages of bench and inspect share."""

import json
import subprocess
import sys

import pytest

from tf2trt.errors import UsageError
from tf2trt.page import SERIES, document, embedded, escape

HOSTILE = '<img src=x onerror="document.title=1">&\'"</script><!--\x00\x1b'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    swatches = "".join(f'<i style="color:var(--series-{number})">x</i>' for number in range(SERIES))
    body = f'<p id="name">{escape(HOSTILE)}</p><p id="series">{swatches}</p>{embedded("data", {"name": HOSTILE})}'
    body += '<p class="dim">dim</p><p class="panel notice">bad</p><p class="warn">warn</p><table><th>head</th></table>'
    script = 'document.body.dataset.name = JSON.parse(document.getElementById("data").textContent).name;'
    path.write_text(document(HOSTILE, body, style=".mine { font-size: 20px }", script=script), encoding="utf-8")
    return path


def test_hostile_names_are_text(browser, page):
    with browser.open(page) as opened:
        shown = HOSTILE.replace("\x00", "").replace("\x1b", "")
        assert opened.page.locator("h1").inner_text() == shown
        assert opened.page.locator("#name").inner_text() == shown
        assert opened.page.title() == shown
        assert opened.page.evaluate("document.body.dataset.name") == HOSTILE
        assert opened.page.locator("img").count() == 0
        opened.check_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable_on_a_phone(browser, page, scheme):
    with browser.open(page, width=400, scheme=scheme) as opened:
        locator = opened.page.locator("#series")
        locator.evaluate("each => each.remove()")  # colours of lines and bars, not of text
        opened.check_readable()
        opened.check_quiet()


def luminance(rgb):
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
    return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_series_stand_out_and_differ_in_lightness(browser, page, scheme):
    with browser.open(page, scheme=scheme) as opened:
        contrasts = [each.contrast for each in opened.texts() if each.text == "x"]
    assert len(contrasts) == SERIES
    assert min(contrasts) >= 3
    first = sorted(contrasts[:4])  # most pages have no more
    assert all(after / before > 1.05 for before, after in zip(first, first[1:]))
    assert max(contrasts) / min(contrasts) > 2


def test_the_switch_changes_what_the_system_asks_for(browser, page):
    with browser.open(page, scheme="dark") as opened:
        colour = "getComputedStyle(document.body).backgroundColor"
        seen = [opened.page.evaluate(colour)]
        for _ in range(2):
            opened.page.locator("#theme").click()
            seen.append(opened.page.evaluate(colour))
    assert seen == ["rgb(15, 20, 25)", "rgb(245, 247, 250)", "rgb(15, 20, 25)"]


def test_the_browser_refuses_what_is_not_in_the_file(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(document("a", '<img src="http://example.invalid/x.png" alt="">'), encoding="utf-8")
    with browser.open(path) as opened:
        assert "Content Security Policy" in " ".join(opened.errors)


def test_what_would_end_its_element_is_refused():
    for wrong in ({"style": "</STYLE>"}, {"script": "'</script>'"}, {"script": "<!--"}):
        with pytest.raises(UsageError, match="in it"):
            document("a", "b", **wrong)


def test_embedded_json_has_no_nan_and_reads_back():
    text = embedded("a", {"x": "</script>", "y": 0.1})
    assert text.count("</script>") == 1
    assert json.loads(text[text.index(">") + 1 : text.rindex("<")]) == {"x": "</script>", "y": 0.1}
    with pytest.raises(ValueError, match="JSON"):
        embedded("a", float("nan"))


def test_lone_surrogates_do_not_stop_a_page():
    assert escape("a\udc80") == "a?"


def test_it_imports_the_standard_library_only():
    code = (
        "import sys; import tf2trt.page; "
        "print([name for name in ('numpy', 'rich', 'click', 'onnx', 'tensorflow') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
