"""Compares folders of NVIDIA's headers with the committed tables cpp/abi/slots_*.inc; exits 1 at any difference."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

import probe
import tables
import wanted


def report(folder: Path, cuda: Path, defines: List[str]) -> int:
    """Checks one folder, prints what was compared, and returns the number of differences."""
    version = probe.version_of(folder)
    name = ".".join(map(str, version))
    if version[0] not in tables.GENERATIONS:
        print(f"{name}: 1 difference\n  no table for generation {version[0]}")
        return 1
    measured = probe.measure(folder, cuda, defines)
    table = tables.read(version[0])
    found = tables.compare(measured, table)
    wanted_names = (tables.method_names(), tables.enum_names())
    if (list(table.methods), list(table.enums)) != wanted_names:
        found.append(f"slots_{version[0]}.inc does not list what wanted.py wants: run generate")
    unshipped = wanted.EARLY_ACCESS.get(version, {})
    methods = sum(1 for method in measured.methods if method not in unshipped)
    present = sum(1 for method, slot in measured.methods.items() if slot is not None and method not in unshipped)
    values = sum(1 for value in measured.enums.values() if value is not None)
    print(
        f"{measured.name}: {methods} methods compared ({present} there), {len(measured.enums)} enumerators ({values} "
        f"there), {len(measured.layout)} layouts, {len(wanted.OBJECTS)} destructors, "
        f"{len(found)} difference{'' if len(found) == 1 else 's'}"
    )
    if not measured.has_parser:
        skipped = [class_name for space, class_name, _ in wanted.METHODS if space == wanted.PARSER]
        print(f"  skipped, no NvOnnxParser.h: {', '.join(skipped)}, {wanted.PARSER}::ErrorCode")
    for method, slot in unshipped.items():
        print(f"  skipped, {method}: {measured.methods[method]} in the header, {slot} in the library of that version")
    for difference in found:
        print(f"  {difference}")
    sys.stdout.flush()
    return len(found)


def main(arguments: Optional[List[str]] = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of headers, each of one TensorRT version")
    parser.add_argument("--cuda", help="CUDA's folder (else CUDA_HOME, else where nvcc is)")
    parser.add_argument("-D", dest="defines", action="append", default=[], help="a macro to define, as for g++")
    given = parser.parse_args(arguments)
    cuda = probe.cuda_include(given.cuda)
    return 1 if sum(report(folder, cuda, given.defines) for folder in given.folders) else 0


if __name__ == "__main__":
    sys.exit(main())
