"""The command line, ``tf2trt COMMAND``: one file per command, imported when it is called.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Optional, Sequence

from tf2trt import extras
from tf2trt.errors import MissingExtraError

__all__ = ["main"]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the command line (``sys.argv`` by default) and returns the exit status."""
    try:
        extras.require("click", "cli")
        extras.require("rich", "cli")
    except MissingExtraError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    from tf2trt.cli import app

    return app.run(arguments)
