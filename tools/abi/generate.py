"""Writes cpp/abi/slots_*.inc from the folders of NVIDIA's headers below one root.

Refuses to write anything when two versions of a generation disagree in a slot, a signature or a value.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Dict, List, Optional

import probe
import tables
import wanted


def main(arguments: Optional[List[str]] = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="generate.py", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("headers_root", type=Path, help="a folder of folders of headers, one per TensorRT version")
    parser.add_argument("--cuda", help="CUDA's folder (else CUDA_HOME, else where nvcc is)")
    given = parser.parse_args(arguments)
    cuda = probe.cuda_include(given.cuda)
    generations: Dict[int, List[probe.Measured]] = {}
    folders = sorted(path.parent for path in given.headers_root.glob("*/NvInferVersion.h"))
    for folder in folders:
        if probe.version_of(folder)[0] not in tables.GENERATIONS:
            print(f"{folder}: no generation of ours", file=sys.stderr)
            return 1
        measured = probe.measure(folder, cuda)
        generations.setdefault(measured.version[0], []).append(measured)
        print(f"measured {measured.name}", flush=True)
    missing = set(tables.GENERATIONS) - set(generations)
    found = [f"no headers of generation {generation}" for generation in sorted(missing)]
    for versions in generations.values():
        versions.sort(key=lambda measured: measured.version)
        for index, later in enumerate(versions):
            found += [f"{later.name}: {error}" for error in later.errors]
            for earlier in versions[:index]:
                if earlier.version not in wanted.EARLY_ACCESS and later.version not in wanted.EARLY_ACCESS:
                    found += tables.differences(earlier, later)
    if found:
        print("nothing written:\n  " + "\n  ".join(found), file=sys.stderr)
        return 1
    for generation, versions in sorted(generations.items()):
        table = tables.unite(versions)
        tables.path_of(generation).write_text(tables.render(table, versions), encoding="utf-8")
        present = sum(1 for row in table.methods.values() if row[0] >= 0)
        print(f"slots_{generation}.inc: {present} methods of {len(table.methods)}, {len(table.enums)} enumerators")
    return 0


if __name__ == "__main__":
    sys.exit(main())
