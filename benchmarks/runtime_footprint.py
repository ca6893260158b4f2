"""What the running process holds: memory, and the installed files it uses. The standard library alone, for any Python.

Imported after all that is measured, so that it is no part of it.
"""

import os
import sys
import sysconfig
from typing import Any, Dict, Iterator, List

DRIVER_AND_SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")
NOT_THE_SYSTEMS = ("libnvinfer", "libnvonnx", "libcudnn", "libcublas", "libcudart")  # a .deb puts these there


def memory() -> Dict[str, int]:
    """Bytes: ``resident`` now, and ``peak``, where the kernel says it."""
    found = {}
    with open("/proc/self/status") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found["resident" if name == "VmRSS" else "peak"] = 1024 * int(rest.split()[0])
    return found


def installed() -> Dict[str, Any]:
    """Bytes on disk: ``packages`` by name, of each imported one as a whole, caches left out; ``libraries`` by path, of
    the shared libraries that are loaded from elsewhere; ``system``: of those of the system, the interpreter and the
    NVIDIA driver.
    """
    found = imported()
    folders = [path for paths in found.values() for path in paths if os.path.isdir(path)]
    roots = [os.path.join(os.path.realpath(path), "") for path in folders]
    packages: Dict[str, int] = {}
    for name, paths in found.items():
        if not os.path.realpath(paths[0]).startswith(tuple(roots)):  # else a part of another, under a name of its own
            packages[name] = sum(size_of(path) for path in paths)
    libraries, system = {}, 0
    for path in mapped():
        base = os.path.basename(path)
        if path.startswith(tuple(roots)) or of_the_standard_library(path):
            continue
        if base.startswith("libpython") or (
            path.startswith(DRIVER_AND_SYSTEM) and not base.startswith(NOT_THE_SYSTEMS)
        ):
            system += os.path.getsize(path)
        else:
            libraries[path] = os.path.getsize(path)
    return {"packages": packages, "libraries": libraries, "system": system}


def imported() -> Dict[str, List[str]]:
    """The folders (or single file) of each imported package that is not of the standard library or of this folder."""
    found: Dict[str, List[str]] = {}
    here = os.path.dirname(os.path.abspath(__file__))
    for name, module in list(sys.modules.items()):
        if "." in name or name == "__main__" or name.startswith("__"):
            continue
        origin = getattr(module, "__file__", None)
        if origin and os.path.isfile(origin):
            # Not __path__: TensorFlow adds folders inside its own and of others to it.
            paths = [os.path.dirname(origin) if os.path.basename(origin) == "__init__.py" else origin]
        else:
            paths = [str(path) for path in getattr(module, "__path__", None) or ()]
        paths = [path for path in paths if os.path.exists(path) and os.path.dirname(os.path.abspath(path)) != here]
        paths = [path for path in paths if not of_the_standard_library(path)]
        if paths:
            found[name] = paths
            beside = os.path.join(os.path.dirname(paths[0]), name + ".libs")  # what auditwheel puts beside a package
            if os.path.isdir(beside):
                paths.append(beside)
    return found


def standard_library() -> str:
    """Its folder, with a slash."""
    return os.path.join(os.path.realpath(sysconfig.get_path("stdlib")), "")


def of_the_standard_library(path: str) -> bool:
    """Whether it lies there, and in no folder of installed packages."""
    inside = os.path.realpath(path).startswith(standard_library())
    return inside and "site-packages" not in path and "dist-packages" not in path


def mapped() -> Iterator[str]:
    """The shared libraries that are mapped into this process, each once."""
    seen = set()
    with open("/proc/self/maps") as file:
        for line in file:
            path = line.rstrip("\n").split(None, 5)[-1]
            if path.startswith("/") and ".so" in os.path.basename(path) and path not in seen:
                seen.add(path)
                if os.path.isfile(path):
                    yield os.path.realpath(path)


def size_of(path: str) -> int:
    """Bytes of a file, or of all in a folder but Python's caches; a link counts nothing."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    total = 0
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != "__pycache__"]
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return total
