"""Where TensorRT comes from: ``TF2TRT_NVINFER``, then pip packages, then the loader's own search.

The search itself is the C++ core's; this file only tells it where pip put the packages.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from typing import List, Tuple

from tf2trt import _native

__all__ = ["candidates", "find", "find_lean", "package_folders"]

# Import names of the pip packages that carry a library of TensorRT, in the order in which they are tried:
# tensorrt_libs       tensorrt-cu12, tensorrt-cu13 (10 and 11): the full library
# tensorrt            8.6, where the library lies beside the Python bindings; from 10 on it holds no library
# tensorrt_lean_libs  tensorrt-lean-cu12-libs, -cu13-libs: runs version-compatible engines, cannot build
# the last            TensorRT-RTX, inside ONNX Runtime's execution provider
_PACKAGES = ("tensorrt_libs", "tensorrt", "tensorrt_lean_libs", "onnxruntime_ep_nv_tensorrt_rtx")


def package_folders() -> Tuple[str, ...]:
    """The folders of the installed pip packages that may hold a TensorRT library, best first.

    Nothing is imported: ``import tensorrt`` would load CUDA libraries, and 8.6's bindings stop at Python 3.11 while its
    library does not.
    """
    folders: List[str] = []
    for package in _PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):  # ValueError: a module of that name without a spec was put into sys.modules
            continue
        folders.extend(spec.submodule_search_locations or () if spec else ())
    return tuple(dict.fromkeys(folders))


@lru_cache(maxsize=None)
def find(*, need_builder: bool = False) -> _native.Library:
    """The first usable TensorRT, loaded; the same one for the rest of the process.

    Raises:
        LibraryNotFoundError: none was found, or with ``need_builder`` none that can build; lists where it looked.
        UnsupportedVersionError: ``TF2TRT_NVINFER`` names a TensorRT that tf2trt has no tables for.
    """
    return _native.find_library(package_folders(), need_builder)


def find_lean(plan: _native.PlanHeader) -> _native.Library:
    """The first lean runtime that reads a plan with this header, loaded; no other TensorRT is loaded on the way.

    It is small (105 MB on disk in 10.16 and 11.4) and runs version-compatible plans of its own major version. The
    header does not say whether a plan is version-compatible: the sidecar does, or TensorRT when it deserialises the
    plan.

    Raises:
        LibraryNotFoundError: none was found that reads the plan; names the pip package that brings one.
        UnsupportedVersionError: ``TF2TRT_NVINFER`` names a TensorRT that tf2trt has no tables for.
    """
    return _native.find_library(package_folders(), plan=plan, lean=True)


def candidates() -> List[_native.Candidate]:
    """Every place looked at, in order, with the reason why it was passed over where it was."""
    return _native.list_libraries(package_folders())
