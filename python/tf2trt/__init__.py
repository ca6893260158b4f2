"""tf2trt: TensorFlow and Keras models to TensorRT engines, and a light runtime for them.

Importing it is cheap: each public name is looked up when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any, List

from tf2trt.lazy import look_up

if TYPE_CHECKING:
    from tf2trt.build import BuildOptions, build_engine
    from tf2trt.conversion import convert
    from tf2trt.errors import Tf2TrtError
    from tf2trt.runtime import Engine
    from tf2trt.specs import ShapeRange, TensorSpec

try:
    __version__ = metadata.version("tf2trt")
except metadata.PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "BuildOptions",
    "Engine",
    "ShapeRange",
    "TensorSpec",
    "Tf2TrtError",
    "__version__",
    "build_engine",
    "convert",
]

_HOME = {
    "BuildOptions": "tf2trt.build",
    "Engine": "tf2trt.runtime",
    "ShapeRange": "tf2trt.specs",
    "TensorSpec": "tf2trt.specs",
    "Tf2TrtError": "tf2trt.errors",
    "build_engine": "tf2trt.build",
    "convert": "tf2trt.conversion",
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOME, name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
