"""What the HTML pages of bench and inspect share: their frame, their colours, their switch of light and dark."""

from tf2trt.page.shell import SERIES, colours, document, embedded, escape

__all__ = ["SERIES", "colours", "document", "embedded", "escape"]
