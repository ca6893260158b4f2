"""Calls the creators and plugins of libtf2trt_plugins.so through NVIDIA's own classes.

Compiles drive_plugins.cpp against each folder of headers and runs it; exits 1 at any difference, and where two versions
of the same interface (V2 in 8, V3 in 10 and 11) get different answers.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import probe
import tables

HERE = Path(__file__).resolve().parent
CPP = tables.FOLDER.parent
PLUGINS = CPP.parent / "plugins"
# What calls TensorRT's expression builder, the only code of the sdk that is not driven through the library.
SOURCES = [PLUGINS / "sdk" / "expr_builder.cpp", CPP / "abi" / "slots.cpp", CPP / "src" / "error.cpp"]


def drive(folder: Path, cuda: Path, library: Path) -> Tuple[bool, Dict[str, str]]:
    """Runs the program of one version; tells whether it found nothing, and the hash of the answers by interface."""
    code = (HERE / "drive_plugins.cpp").read_text(encoding="utf-8")
    includes = [folder, cuda, PLUGINS, CPP, CPP / "include", HERE]
    done = probe.compile_and_run(code, includes, [str(source) for source in SOURCES], [str(library)])
    print(done.stdout, end="")
    answers = dict(re.findall(r"answers of (\w+): (\w+)$", done.stdout, re.M))
    if not answers:  # else it is what the library logs of all that it must refuse
        print("".join(f"  {line}\n" for line in done.stderr.splitlines()[-3:]), end="")
        end = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit status {done.returncode}"
        print(f"{'.'.join(map(str, probe.version_of(folder)))}: ended by {end}")
    sys.stdout.flush()
    return done.returncode == 0, answers


def main(arguments: Optional[List[str]] = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="plugins.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of headers, each of one TensorRT version")
    parser.add_argument("--library", type=Path, required=True, help="libtf2trt_plugins.so")
    parser.add_argument("--cuda", help="CUDA's folder (else CUDA_HOME, else where nvcc is)")
    given = parser.parse_args(arguments)
    cuda = probe.cuda_include(given.cuda)
    if not given.library.is_file():
        raise SystemExit(f"{given.library}: no such file")
    right = True
    answers: Dict[str, Dict[str, str]] = {}
    for folder in given.folders:
        found_nothing, hashes = drive(folder, cuda, given.library.resolve())
        right = right and found_nothing
        for interface, value in hashes.items():
            answers.setdefault(interface, {})[folder.name] = value
    for interface, values in answers.items():
        if len(set(values.values())) > 1:
            right = False
            print(f"{interface}: the answers differ: " + ", ".join(f"{name} {value}" for name, value in values.items()))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
