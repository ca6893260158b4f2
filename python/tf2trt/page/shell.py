"""A page that is one file: its style and script inside, nothing fetched, light and dark.

Imports the standard library only.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any, Dict, Tuple

from tf2trt.errors import UsageError

__all__ = ["SERIES", "colours", "document", "embedded", "escape"]

SERIES = 8  # colours for things that are told apart: --series-0 ... in page.css

# The browser itself then refuses whatever is not in the file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_CONTROLS = dict.fromkeys(code for code in range(32) if chr(code) not in "\t\n\r")


def escape(text: object) -> str:
    """``str(text)`` for HTML and SVG, as an element's text or inside quotes; what no document may hold is left out."""
    plain = str(text).translate(_CONTROLS).encode("utf-8", "replace").decode("utf-8")
    return html.escape(plain, quote=True)


def colours() -> Dict[str, Tuple[str, str]]:
    """The page's colours by their names in page.css, such as ``"ink"``: for light and for dark. For drawings that stand
    alone, where ``light-dark()`` may not be known.
    """
    text = Path(__file__).with_name("page.css").read_text("utf-8")
    return {name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((.*?), (.*?)\);", text)}


def embedded(name: str, value: Any) -> str:
    """``value`` as JSON inside a page: ``JSON.parse(document.getElementById(name).textContent)`` reads it.

    Raises:
        ValueError: NaN or an infinity, which JSON has no words for.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # so that no name in it ends the element
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page: ``title`` as its heading, the house's style and colours, a switch for light and dark, ``body``.

    The colours are CSS variables (``--ink``, ``--line``, ``--series-0`` ...: see page.css), which a drawing uses too:
    ``fill="var(--ink)"``. What is wider than the screen belongs into ``<div class="scroll" tabindex="0">``.
    What has an attribute ``data-tip`` shows its text under the mouse, on focus (``tabindex="0"``) and when tapped.

    Args:
        title: plain text; it is escaped here.
        body: HTML; its names have gone through :func:`escape`.
        style: CSS that comes after the house's.
        script: JavaScript that runs when the whole page is there.

    Raises:
        UsageError: ``style`` or ``script`` would end its own element.
    """
    for kind, text in (("style", style), ("script", script)):
        if re.search(f"</{kind}|<!--", text, re.IGNORECASE):
            raise UsageError(f"a page's {kind}", received=f"</{kind} or <!-- in it", expected="neither")
    folder = Path(__file__).parent
    house_style, house_script = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{house_style}{style}
</style>
</head>
<body>
<header class="top">
<h1>{escape(title)}</h1>
<button type="button" id="theme" aria-label="Light or dark" title="Light or dark"><svg viewBox="0 0 20 20" width="20" \
height="20" aria-hidden="true"><circle cx="10" cy="10" r="7.5" fill="none" stroke="currentColor" stroke-width="1.5"/>\
<path d="M10 2.5a7.5 7.5 0 0 1 0 15z" fill="currentColor"/></svg></button>
</header>
<main>
{body}
</main>
<footer>Made by tf2trt. This page is one file and fetches nothing.</footer>
<script>
{house_script}{script}
</script>
</body>
</html>
"""
