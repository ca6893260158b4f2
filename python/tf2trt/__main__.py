"""``python -m tf2trt`` is the same as ``tf2trt``."""

from __future__ import annotations

import sys

from tf2trt.cli import main

if __name__ == "__main__":
    sys.exit(main())
