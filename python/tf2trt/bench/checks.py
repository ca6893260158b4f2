"""What keeps subjects from being measured on this machine, found before any process is started."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List, Optional, Sequence, Tuple

from tf2trt import _native, libraries
from tf2trt.bench.adapter import full_shapes
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.subjects import Subject, expand
from tf2trt.build.hardware import check_hardware, has_type
from tf2trt.build.onnx_inputs import read_onnx_inputs
from tf2trt.conversion import why_not_run
from tf2trt.errors import DeviceError, MissingExtraError, UnsupportedVersionError, UsageError
from tf2trt.files import check_writable
from tf2trt.hybrid.tftrt_checks import check_release
from tf2trt.sidecar import Sidecar, check_device, check_size

__all__ = ["make_plan"]

_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly")
_FIRST_HYBRID = (2, 16)


def make_plan(options: BenchOptions) -> Tuple[List[Subject], List[str]]:
    """The subjects, and sentences on what is left out.

    Raises:
        UsageError: a path that is nothing known, a batch or shape that a model does not take, a precision that the GPU
            lacks.
        DeviceError: there is no GPU, and a subject needs one.
        LibraryError: no TensorRT for what has to be built; TF-TRT, and a TensorFlow without it.
        MissingExtraError: TensorFlow is not installed, and a subject needs it.
        EngineError, OnnxError: a file that is damaged, or of another GPU.
        OutputError: the trace, the timing cache or what is to be kept cannot be written.
    """
    device, reason = _device()
    subjects, notes = expand(options, device is not None and has_type("tf32", device.compute_capability))
    needy = [subject for subject in subjects if subject.needs_gpu]
    if needy and reason is not None:
        raise _no_gpu(needy[0], reason)
    if device is not None:
        _check_builds(subjects, device)
    _check_tensorflow(subjects)
    for subject in subjects:
        if subject.build == "onnx":
            inputs = read_onnx_inputs(Path(subject.path))
            for batch in options.batches:
                full_shapes(inputs, options.shapes, batch)
        elif subject.kind == "engine" and subject.build is None:
            _check_engine(Path(subject.path), options, device)
    kept = None if options.keep is None else Path(options.keep, "kept")
    for file in (options.trace, options.timing_cache, kept):
        if file is not None:
            check_writable(file)
    missing = [subject.name for subject in subjects if not subject.regimes(options.way.regimes)]
    if len(missing) == len(subjects):
        raise UsageError(
            "regimes",
            received=", ".join(options.way.regimes),
            expected="serial or pipelined: the GPU's part of TensorFlow's calls cannot be measured",
        )
    if "gpu" in options.way.regimes and any(subject.holds != "engine" for subject in subjects):
        notes.append("GPU only: not for what runs in TensorFlow, around whose work nobody can put CUDA events")
    return subjects, notes


def _device() -> Tuple[Optional[_native.Device], Optional[DeviceError]]:
    try:
        return _native.device(), None
    except DeviceError as error:
        return None, error


def _no_gpu(subject: Subject, reason: DeviceError) -> DeviceError:
    if subject.holds == "engine" and subject.build != "convert":
        return reason
    return DeviceError(f"{subject.name}: {reason}", hint="--backend native measures TensorFlow where there is no GPU")


def _check_builds(subjects: Sequence[Subject], device: _native.Device) -> None:
    ours = [subject for subject in subjects if subject.build in ("onnx", "convert", "hybrid")]
    if ours:
        why = why_not_run(libraries.find(need_builder=True))
        if why is not None:
            raise DeviceError(f"what is built here cannot be run here: {why}", received=ours[0].name)
    for subject in subjects:
        if subject.build is not None:
            check_hardware(subject.precision, (), device)


def _check_tensorflow(subjects: Sequence[Subject]) -> None:
    if not any(subject.needs_tensorflow for subject in subjects):
        return
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError("the Python package 'tensorflow' is not installed", hint="pip install 'tf2trt[export]'")
    version = _tensorflow_version()
    if version is None:  # an own build, perhaps; the worker will see
        return
    if any(subject.holds == "tf-trt" for subject in subjects):
        check_release(SimpleNamespace(__version__=version))
    release = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if release < _FIRST_HYBRID and any(subject.holds == "hybrid" for subject in subjects):
        raise UnsupportedVersionError(
            "backend hybrid", received=f"TensorFlow {version}", expected="TensorFlow 2.16 or later", hint="use tf-trt"
        )


def _tensorflow_version() -> Optional[str]:
    """Of the installed package; TensorFlow itself takes seconds to import, and its share of the GPU."""
    for name in _TENSORFLOWS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _check_engine(path: Path, options: BenchOptions, device: Any) -> None:
    """As far as the sidecar tells; without one the worker finds out."""
    sidecar = Sidecar.read(path)
    check_size(path, path.stat().st_size, sidecar)
    if sidecar is None:
        return
    check_device(path, sidecar, device.name, device.compute_capability)
    batched = [spec.name for spec in sidecar.inputs if spec.shape[:1] == (-1,)]
    profiles = [[profile[name] for name in batched if name in profile] for profile in sidecar.profiles] or [[]]
    for batch in options.batches:
        if not any(all(limits.min[0] <= batch <= limits.max[0] for limits in profile) for profile in profiles):
            known = [f"{limits.min[0]} to {limits.max[0]}" for profile in profiles for limits in profile]
            raise UsageError(
                f"{path} does not take this batch", received=batch, expected=", or ".join(dict.fromkeys(known))
            )
        if all(-1 not in spec.shape for spec in sidecar.inputs):
            full_shapes(sidecar.inputs, {}, batch)
