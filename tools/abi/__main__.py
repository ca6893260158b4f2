"""`python tools/abi generate|check|drive|plugins ...`: the tables of virtual-table slots, see README.md."""

from __future__ import annotations

import sys

import check
import drive
import generate
import plugins

COMMANDS = {"generate": generate.main, "check": check.main, "drive": drive.main, "plugins": plugins.main}


def main() -> int:
    """Hands the arguments to one command."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: python tools/abi {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    return COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
