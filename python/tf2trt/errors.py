"""The exceptions of tf2trt.

    Tf2TrtError
    ├── UsageError (ValueError)          an argument that cannot work; the command line exits with status 2
    │   └── InputError                   an input array or shape that the engine does not take
    ├── MissingExtraError (ImportError)  an optional package is not installed
    ├── LibraryError                     TensorRT itself
    │   ├── LibraryNotFoundError         no usable TensorRT library on this machine
    │   └── UnsupportedVersionError      a TensorRT that tf2trt has no tables for
    ├── DeviceError                      no NVIDIA driver, no GPU, or a CUDA call that failed
    ├── ModelError                       the model given by the user
    │   ├── ExportError                  TensorFlow or Keras to ONNX
    │   ├── SurgeryError                 a rewrite of the ONNX graph failed
    │   └── OnnxError                    the ONNX file: missing, truncated, unknown operator
    ├── PluginError                      a plugin library: missing, not to be loaded, or refused by TensorRT
    ├── BuildError                       TensorRT refused to build
    ├── EngineError                      the .engine file: missing, truncated, damaged
    │   ├── EngineVersionError           built by a TensorRT that the loaded one cannot read
    │   └── EngineDeviceError            built for another GPU
    ├── OperatorError                    TensorFlow's op Tf2TrtEngine cannot be compiled or loaded
    ├── VerificationError                two results that should agree do not
    └── OutputError (OSError)            a result cannot be written

The C++ core raises the same classes: its ``ErrorKind`` names them one to one.
"""

from __future__ import annotations

from typing import Optional

__all__ = [
    "BuildError",
    "DeviceError",
    "EngineDeviceError",
    "EngineError",
    "EngineVersionError",
    "ExportError",
    "InputError",
    "LibraryError",
    "LibraryNotFoundError",
    "MissingExtraError",
    "ModelError",
    "OnnxError",
    "OperatorError",
    "OutputError",
    "PluginError",
    "SurgeryError",
    "Tf2TrtError",
    "UnsupportedVersionError",
    "UsageError",
    "VerificationError",
]


class Tf2TrtError(Exception):
    """Base of every error that tf2trt raises on purpose.

    ``what`` names the thing; ``received``, ``expected`` and ``hint`` are printed on lines of their own when given.
    """

    def __init__(
        self,
        what: str,
        *,
        received: Optional[object] = None,
        expected: Optional[object] = None,
        hint: Optional[str] = None,
    ) -> None:
        parts = [what]
        for label, value in (("received", received), ("expected", expected), ("hint", hint)):
            if value is not None:
                parts.append(f"  {label}: {value}")
        super().__init__("\n".join(parts))


class UsageError(Tf2TrtError, ValueError):
    """An argument that cannot work, found before any work started."""


class InputError(UsageError):
    """An input array (name, shape, dtype) that the engine does not take."""


class MissingExtraError(Tf2TrtError, ImportError):
    """An optional package is not installed; the message holds the pip command that brings it."""


class LibraryError(Tf2TrtError):
    """TensorRT's own library is missing or cannot be used."""


class LibraryNotFoundError(LibraryError):
    """No usable TensorRT library was found; the message lists where tf2trt looked."""


class UnsupportedVersionError(LibraryError):
    """A TensorRT library of a generation or version for which tf2trt has no tables."""


class DeviceError(Tf2TrtError):
    """No NVIDIA driver, no GPU, or a CUDA call that failed."""


class ModelError(Tf2TrtError):
    """The user's model cannot be read or converted."""


class ExportError(ModelError):
    """TensorFlow or Keras to ONNX failed, or its result differs from the model."""


class SurgeryError(ModelError):
    """A rewrite of the ONNX graph failed."""


class OnnxError(ModelError):
    """An ONNX file is missing, truncated, or holds what TensorRT's parser does not know."""


class PluginError(Tf2TrtError):
    """A plugin library is missing, cannot be loaded, or was refused by TensorRT."""


class BuildError(Tf2TrtError):
    """TensorRT refused to build an engine."""


class EngineError(Tf2TrtError):
    """An .engine file is missing, truncated or damaged."""


class EngineVersionError(EngineError):
    """An engine was built by a TensorRT version that the loaded library cannot read."""


class EngineDeviceError(EngineError):
    """An engine was built for another GPU than the one present."""


class OperatorError(Tf2TrtError):
    """TensorFlow's op ``Tf2TrtEngine`` cannot be compiled for the TensorFlow that is installed, or not be loaded."""


class VerificationError(Tf2TrtError):
    """Two results that should agree do not."""


class OutputError(Tf2TrtError, OSError):
    """A result cannot be written; nothing was left behind."""
