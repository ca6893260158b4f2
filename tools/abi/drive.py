"""The other way round: calls the classes of cpp/abi/callbacks.hpp through NVIDIA's own interfaces.

Compiles drive.cpp against each folder of headers and runs it; exits 1 at any difference.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

import probe
import tables


def main(arguments: Optional[List[str]] = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="drive.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of headers, each of one TensorRT version")
    parser.add_argument("--cuda", help="CUDA's folder (else CUDA_HOME, else where nvcc is)")
    given = parser.parse_args(arguments)
    cuda = probe.cuda_include(given.cuda)
    here = Path(__file__).resolve().parent
    code = (here / "drive.cpp").read_text(encoding="utf-8")
    failed = False
    for folder in given.folders:
        done = probe.compile_and_run(code, [folder, cuda, tables.FOLDER.parent, here], [])
        print(done.stdout + done.stderr, end="", flush=True)
        if done.returncode < 0:
            print(f"  {folder.name}: ended by signal {-done.returncode}: a function sits in another slot")
        failed = failed or done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
