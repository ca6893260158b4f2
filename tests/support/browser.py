"""A real headless browser for tests of HTML pages: Debian's Chromium, driven by playwright."""

import contextlib
import shutil
from pathlib import Path
from typing import List, NamedTuple

# For each piece of text that is seen: its size on the screen in pixels and its contrast with what lies behind it.
_TEXTS = r"""() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true }), known = new Map();
  const parse = text => {
    if (!known.has(text)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = text;
      context.fillRect(0, 0, 1, 1);
      known.set(text, [...context.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(text);
  };
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest("script, style, title, option") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), drawn = element instanceof SVGElement;
    const scale = drawn ? Math.abs(element.getScreenCTM().d) : 1;
    const colours = [parse(drawn ? style.fill : style.color).slice(0, 3), ground(element)].map(luminance);
    const ratio = (Math.max(...colours) + 0.05) / (Math.min(...colours) + 0.05);
    found.push([text, parseFloat(style.fontSize) * scale, ratio]);
  }
  return found;
}"""


class Text(NamedTuple):
    text: str
    pixels: float
    contrast: float


class Opened:
    """A page that is open: ``page`` is playwright's; ``errors`` of its console, ``requests`` beside the file itself."""

    def __init__(self, page, path: Path) -> None:
        self.page = page
        self.errors: List[str] = []
        self.requests: List[str] = []
        own = path.resolve().as_uri()
        page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith(("data:", own)) or self.requests.append(request.url),
        )
        page.goto(own, wait_until="load")

    def texts(self) -> List[Text]:
        return [Text(*each) for each in self.page.evaluate(_TEXTS)]

    def sideways(self) -> int:
        """By how many pixels the page itself scrolls sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def check_readable(self) -> None:
        """Text of 12 pixels or more and of a contrast of 4.5 or more, and no scrolling sideways."""
        texts = self.texts()
        assert texts
        assert [each for each in texts if each.pixels < 11.99] == []
        assert [each for each in texts if each.contrast < 4.5] == []
        assert self.sideways() <= 0

    def check_quiet(self) -> None:
        assert self.errors == []
        assert self.requests == []


class Browser:
    """``with browser.open(path, width=400, scheme="dark") as opened``: a page of its own, without a network."""

    def __init__(self, chromium) -> None:
        self._chromium = chromium

    @contextlib.contextmanager
    def open(self, path, *, width: int = 1200, height: int = 900, scheme: str = "light", touch: bool = False):
        viewport = {"width": width, "height": height}
        context = self._chromium.new_context(viewport=viewport, color_scheme=scheme, offline=True, has_touch=touch)
        context.set_default_timeout(10_000)
        try:
            yield Opened(context.new_page(), Path(path))
        finally:
            context.close()


@contextlib.contextmanager
def launch():
    """A :class:`Browser`, for as long as the block lasts."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("the tests of HTML pages need Debian's package chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
