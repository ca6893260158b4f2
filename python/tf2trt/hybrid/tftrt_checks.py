"""What keeps TF-TRT from working, found before it starts: left alone it fails later, or runs the model natively."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Optional, Tuple

from tf2trt import _native
from tf2trt.build.hardware import has_type
from tf2trt.errors import DeviceError, LibraryNotFoundError, Tf2TrtError, UnsupportedVersionError, UsageError
from tf2trt.hybrid.options import HybridOptions

__all__ = ["TensorRTInTensorFlow", "check_library", "check_options", "check_release", "check_use", "has_tf_trt"]

_LAST = (2, 17)
_MODES = ("FP32", "FP16", "INT8")
_INSTEAD = 'backend="tf2trt"'
_TYPES = {"FP16": "fp16", "INT8": "int8"}

Version = Tuple[int, ...]


@dataclass(frozen=True)
class TensorRTInTensorFlow:
    """The TensorRT that TensorFlow was linked with, and the one that it found here."""

    linked: Version
    loaded: Version

    @property
    def refused_by_tensorflow(self) -> bool:
        """Whether TensorFlow's own check stops at this pair though it works (2.17.1 was run with 8.6.1 and 8.6.0)."""
        return self.loaded < self.linked


def has_tf_trt(tensorflow: Any) -> bool:
    """Whether this release of TensorFlow has TF-TRT, as far as its version tells."""
    return _release(tensorflow) <= _LAST


def check_release(tensorflow: Any) -> None:
    """Looks at TensorFlow's version.

    Raises:
        UnsupportedVersionError: it is too new to have TF-TRT.
    """
    if not has_tf_trt(tensorflow):
        raise UnsupportedVersionError(
            "backend tf-trt: this TensorFlow has no TF-TRT",
            received=f"TensorFlow {tensorflow.__version__}",
            expected="TensorFlow 2.17 or earlier: TF-TRT was taken out in 2.18",
            hint=_INSTEAD,
        )


def check_library(tensorflow: Any, trt_convert: Any) -> TensorRTInTensorFlow:
    """Looks at the TensorRT that TensorFlow loads.

    The same major and minor version is asked for. TensorFlow itself asks for one that is not older than what it was
    linked with, which also turns away an older patch release, though patch releases share one interface.

    Raises:
        LibraryNotFoundError: there is none.
        UnsupportedVersionError: it is of another version, or TensorFlow was built without TensorRT.
    """
    native = trt_convert._pywrap_py_utils
    linked = tuple(native.get_linked_tensorrt_version())
    if not native.is_tensorrt_enabled():
        if not tensorflow.sysconfig.get_build_info().get("is_tensorrt_build", False):
            raise UnsupportedVersionError(
                "backend tf-trt: this TensorFlow was built without TensorRT",
                received=f"TensorFlow {tensorflow.__version__}",
                expected="the package tensorflow[and-cuda] for Linux on x86-64",
                hint=_INSTEAD,
            )
        version = _text(linked)
        raise LibraryNotFoundError(
            "backend tf-trt: TensorFlow does not find TensorRT",
            expected=f"libnvinfer.so.{version} and libnvinfer_plugin.so.{version}, by these very names, and the "
            "cuBLAS and cuDNN that they need",
            hint="put their folder into LD_LIBRARY_PATH before Python starts; where the names end after the first "
            f"number, as in the pip package tensorrt=={version}, make links: ln -s libnvinfer.so.{linked[0]} "
            f"libnvinfer.so.{version}; "
            "or " + _INSTEAD,
        )
    loaded = tuple(native.get_loaded_tensorrt_version())
    if loaded[:2] != linked[:2]:
        raise UnsupportedVersionError(
            "backend tf-trt: TensorFlow loads another TensorRT than it was linked with",
            received=f"TensorRT {_text(loaded)}",
            expected=f"TensorRT {linked[0]}.{linked[1]}, as linked into TensorFlow {tensorflow.__version__}",
            hint=f"pip install 'tensorrt=={linked[0]}.{linked[1]}.*', or {_INSTEAD}",
        )
    return TensorRTInTensorFlow(linked, loaded)


def check_options(tensorflow: Any, options: HybridOptions) -> None:
    """Looks at the options and at the GPU.

    Raises:
        UsageError: a precision that TF-TRT or the GPU lacks, a workspace that does not fit into the memory that
            TensorFlow may take, or options with which no engine could ever be built.
        DeviceError: TensorFlow sees no GPU.
    """
    if options.precision_mode not in _MODES:
        raise UsageError(
            "precision_mode in backend tf-trt",
            received=options.precision_mode,
            expected=", ".join(_MODES),
            hint=f"TF-TRT's FP32 uses TF32 where TensorFlow does; {_INSTEAD} has {options.precision_mode}",
        )
    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        raise DeviceError(
            "backend tf-trt: TensorFlow sees no GPU",
            hint="tensorflow.config.list_physical_devices('GPU') must name one; see CUDA_VISIBLE_DEVICES, and the "
            "start of TensorFlow's log for a CUDA library that it lacks",
        )
    _check_type(tensorflow, gpus[0], options.precision_mode)
    _check_workspace(tensorflow, gpus[0], options.max_workspace_size_bytes)


def check_use(options: HybridOptions) -> None:
    """Looks at what is given to convert and to build, when it is all there.

    Raises:
        UsageError: INT8 without calibration data, or neither an input_fn nor leave to build at run time.
    """
    options.check_complete()
    if not options.allow_build_at_runtime and options.input_fn is None and not options.calibrated:
        raise UsageError(
            "no engine could ever be built",
            received="allow_build_at_runtime=False and no input_fn",
            hint="input_fn=lambda: batches of the shapes that will come; or allow_build_at_runtime=True",
        )


def _check_type(tensorflow: Any, gpu: Any, mode: str) -> None:
    capability = tensorflow.config.experimental.get_device_details(gpu).get("compute_capability")
    kind = _TYPES.get(mode)
    if capability is not None and kind is not None and not has_type(kind, tuple(capability)):
        raise UsageError(
            "the GPU does not compute in {}: its compute capability is {}.{}".format(mode, *capability),
            received=f"precision_mode {mode}",
            hint="use FP32",
        )


def _check_workspace(tensorflow: Any, gpu: Any, workspace: int) -> None:
    limit, where = _memory_limit(tensorflow, gpu)
    if limit is not None and workspace >= limit:
        raise UsageError(
            "max_workspace_size_bytes does not fit into the GPU memory that TensorFlow may take",
            received=f"{workspace:,} bytes ({workspace / 2**30:.2f} GiB)",
            expected=f"less than {limit:,} bytes ({limit / 2**30:.2f} GiB), {where}",
            hint="lower max_workspace_size_bytes (1 GiB is usual), or raise the memory limit",
        )


def _memory_limit(tensorflow: Any, gpu: Any) -> Tuple[Optional[int], str]:
    # None where it is not known.
    logical = tensorflow.config.get_logical_device_configuration(gpu) or []
    limits = [each.memory_limit for each in logical if each.memory_limit]
    if limits:
        return int(limits[0] * 2**20), "the memory_limit of tf.config.set_logical_device_configuration"
    try:
        return int(_native.device().total_memory), "all of the GPU's memory"
    except Tf2TrtError:  # TensorFlow sees a GPU, and we do not: its own libraries may be elsewhere
        return None, ""


def _release(tensorflow: Any) -> Version:
    match = re.match(r"(\d+)\.(\d+)", tensorflow.__version__)
    return tuple(int(part) for part in match.groups()) if match else (0, 0)


def _text(version: Version) -> str:
    return ".".join(map(str, version))
