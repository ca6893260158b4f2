"""Fetches the TensorRT libraries that tests load without a GPU: ``fetch_tensorrt.py FOLDER``.

    FOLDER/8.6.0          libnvinfer, plugins and ONNX parser of TensorRT 8.6.0, and stubs/ (see below)
    FOLDER/lean-10.16.1   the lean runtime of TensorRT 10
    FOLDER/lean-11.4.0    the lean runtime of TensorRT 11

They come from PyPI by name, some 910 MB, once; the wheels are deleted afterwards. TensorRT 8's plugin library names
cuDNN 8 and cuBLAS 12 as needed, though only plugins that the tests leave alone call them: ``stubs/`` holds empty
libraries of those names. The wheels exist for x86-64 only; elsewhere this script says so and fetches nothing.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import List, NamedTuple


class Wheel(NamedTuple):
    folder: str
    requirement: str
    python: str
    platform: str
    libraries: List[str]


WHEELS = [
    Wheel(
        "8.6.0",
        "tensorrt==8.6.0",
        "3.10",
        "manylinux_2_17_x86_64",
        ["libnvinfer.so.8", "libnvinfer_plugin.so.8", "libnvonnxparser.so.8"],
    ),
    Wheel(
        "lean-10.16.1",
        "tensorrt-lean-cu13-libs==10.16.1.11",
        "3.12",
        "manylinux_2_28_x86_64",
        ["libnvinfer_lean.so.10"],
    ),
    Wheel(
        "lean-11.4.0",
        "tensorrt-lean-cu13-libs==11.4.0.106",
        "3.12",
        "manylinux_2_28_x86_64",
        ["libnvinfer_lean.so.11"],
    ),
]
STUBS = ["libcudnn.so.8", "libcublas.so.12", "libcublasLt.so.12"]


def fetch(wheel: Wheel, folder: Path, work: Path) -> None:
    """Downloads one wheel and leaves its libraries in ``folder``, which appears only when it is complete."""
    print(f"fetching {wheel.requirement}", flush=True)
    options = ["--only-binary=:all:", "--python-version", wheel.python, "--platform", wheel.platform]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-cache-dir", "--no-deps", *options]
    subprocess.run([*command, "-d", str(work), wheel.requirement], check=True)
    unpacked = work / "libraries"
    unpacked.mkdir()
    with zipfile.ZipFile(next(work.glob("*.whl"))) as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        for library in wheel.libraries:
            with archive.open(members[library]) as source, open(unpacked / library, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    if wheel.folder.startswith("8."):
        make_stubs(unpacked / "stubs")
    unpacked.rename(folder)


def make_stubs(folder: Path) -> None:
    folder.mkdir()
    for name in STUBS:
        command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(folder / name), f"-Wl,-soname,{name}"]
        subprocess.run(command, input=b"extern int tf2trt_stub; int tf2trt_stub;\n", check=True)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if platform.machine() != "x86_64":
        print(f"TensorRT's wheels for these tests are x86-64 only; this is {platform.machine()}: nothing fetched")
        return
    root = Path(sys.argv[1])
    root.mkdir(parents=True, exist_ok=True)
    for wheel in WHEELS:
        folder = root / wheel.folder
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=root) as work:
                fetch(wheel, folder, Path(work))


if __name__ == "__main__":
    main()
