"""TensorRT's calibration cache: plain text that trtexec and Polygraphy read, bound to its model by a file beside it.

    TRT-8600-EntropyCalibration2
    image: 3c010a14
    conv1: 3d2b5c80

Each line holds a tensor's scale, the bits of a float32 in hex. Of which model it is ``m.cache.json`` says.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Union

import tf2trt
from tf2trt.calibration.model import model_hash
from tf2trt.errors import UsageError
from tf2trt.files import atomic_write, check_writable

__all__ = ["CalibrationCache", "binding_path", "import_cache", "parse_cache", "read_cache", "write_cache"]

PathLike = Union[str, "os.PathLike[str]"]
FORMAT = 1

# TensorRT's names for its calibrators; of the older ones only the table is of use.
_ALGORITHMS = {
    "EntropyCalibration2": "entropy",
    "EntropyCalibration": "entropy",
    "MinMaxCalibration": "minmax",
    "LegacyCalibration": "percentile",
}
_FIRST = re.compile(r"TRT-(?P<version>\d+)-(?P<algorithm>\w+)")
_LINE = re.compile(r"(?P<name>.+): (?P<bits>[0-9a-fA-F]{1,8})")
_SMALLEST = 2.0**-126  # of the normal float32; below it is a line that was cut


@dataclass(frozen=True)
class CalibrationCache:
    """The text of a cache and what stands in it: ``scales`` by tensor, the TensorRT that wrote it (8600 is 8.6.0)."""

    data: bytes
    version: int
    algorithm: str
    scales: Dict[str, float]

    @property
    def method(self) -> str:
        """``"entropy"``, ``"minmax"`` or ``"percentile"``."""
        return _ALGORITHMS[self.algorithm]


def binding_path(cache: PathLike) -> Path:
    """``m.cache`` -> ``m.cache.json``."""
    return Path(f"{os.fspath(cache)}.json")


def is_cache(path: PathLike) -> bool:
    """Whether a file begins as TensorRT's caches do."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"TRT-"
    except OSError:
        return False


def parse_cache(data: bytes, name: str) -> CalibrationCache:
    """Reads a cache; ``name`` is the file's, for messages.

    Raises:
        UsageError: it is no cache, or it is damaged or cut off.
    """
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise _damaged(name, str(error)) from error
    first = _FIRST.fullmatch(lines[0].strip()) if lines else None
    if first is None or first["algorithm"] not in _ALGORITHMS:
        raise _damaged(name, repr(lines[0][:80]) if lines else "an empty file", "a first line TRT-VERSION-CALIBRATOR")
    if not data.endswith(b"\n"):
        raise _damaged(name, f"cut off in line {len(lines)}")
    scales: Dict[str, float] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        scale = struct.unpack("!f", bytes.fromhex(match["bits"].zfill(8)))[0] if match else -1.0
        if match is None or not (scale == 0 or _SMALLEST <= scale < float("inf")):
            raise _damaged(name, f"line {number}: {line[:80]!r}", "tensor: the scale's bits in hex")
        scales[match["name"]] = scale
    if not scales:
        raise _damaged(name, "no tensors")
    return CalibrationCache(data, int(first["version"]), first["algorithm"], scales)


def read_cache(path: PathLike, onnx: PathLike, method: Optional[str] = None) -> Optional[CalibrationCache]:
    """The cache at ``path`` after all checks; None where there is none.

    Args:
        onnx: the model that it has to be of.
        method: how it has to have been made.

    Raises:
        UsageError: it is of another model, or of none that is known (see :func:`import_cache`), was made by another
            method, or is damaged.
        OnnxError: ``onnx`` cannot be read.
    """
    cache = Path(path)
    try:
        data = cache.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read the calibration cache {cache}", received=error.strerror) from error
    binding = _read_binding(cache)
    if binding["onnx_sha256"] != model_hash(onnx):
        raise UsageError(
            f"the calibration cache {cache} is of another model",
            received=f"{binding['onnx_file']}, SHA-256 {binding['onnx_sha256'][:12]}",
            expected=f"{Path(onnx).name} as it is now",
            hint="calibrate this model: name another cache file, or take this one away",
        )
    if binding["cache_sha256"] != hashlib.sha256(data).hexdigest():
        raise UsageError(
            f"the calibration cache {cache} is damaged",
            received="other bytes than were written",
            hint=f"take it and {binding_path(cache).name} away and calibrate again",
        )
    found = parse_cache(data, str(cache))
    if method is not None and found.method != method:
        raise UsageError(
            f"the calibration cache {cache} was made by another method",
            received=f"{found.method} ({found.algorithm})",
            expected=method,
            hint="name another cache file, or ask for that method",
        )
    return found


def write_cache(path: PathLike, onnx: PathLike, data: bytes, **about: Any) -> CalibrationCache:
    """Writes a cache and, beside it, what binds it to ``onnx``. Killed meanwhile, it is there whole or not at all.

    Args:
        data: what TensorRT gave to ``writeCalibrationCache``.
        about: more plain values to write down beside it, such as the number of samples.

    Raises:
        UsageError: ``data`` is no cache.
        OutputError: a file cannot be written.
    """
    cache = Path(path)
    parsed = parse_cache(data, str(cache))
    binding = {
        "format": FORMAT,
        "onnx_file": Path(onnx).name,
        "onnx_sha256": model_hash(onnx),
        "cache_sha256": hashlib.sha256(data).hexdigest(),
        "method": parsed.method,
        "tensorrt": parsed.version,
        "tensors": len(parsed.scales),
        "tf2trt": tf2trt.__version__,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **about,
    }
    check_writable(cache)
    if cache.exists():
        cache.unlink()  # an old cache beside a new binding would be taken for a damaged one
    atomic_write(binding_path(cache), (json.dumps(binding, indent=2) + "\n").encode())
    atomic_write(cache, data)
    return parsed


def import_cache(source: PathLike, path: PathLike, onnx: PathLike) -> CalibrationCache:
    """Takes a cache from elsewhere (trtexec, Polygraphy, another program) for one of ``onnx``, and binds it to that.

    Nothing in such a file says of which model it is: that is for you to know. What can be seen is checked: every input
    of the model has to have a scale in it.

    Raises:
        UsageError: there is none, it is damaged, or it lacks an input of the model: it is another model's.
        OnnxError: ``onnx`` cannot be read.
        OutputError: ``path`` cannot be written.
    """
    from tf2trt.build.onnx_inputs import read_onnx_inputs

    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the calibration cache {source}", received=error.strerror) from error
    parsed = parse_cache(data, os.fspath(source))
    inputs = [spec.name for spec in read_onnx_inputs(Path(onnx)) if spec.dtype.startswith("float")]
    missing = [name for name in inputs if name not in parsed.scales]
    if missing:
        raise UsageError(
            f"the calibration cache {os.fspath(source)} is not of this model",
            received="scales of " + ", ".join(list(parsed.scales)[:5]) + ", ...",
            expected=f"one of the input {', '.join(missing)}",
        )
    return write_cache(path, onnx, data, imported=Path(source).name)


def _read_binding(cache: Path) -> Dict[str, Any]:
    path = binding_path(cache)
    try:
        binding = json.loads(path.read_text())
        if all(isinstance(binding[key], str) for key in ("onnx_file", "onnx_sha256", "cache_sha256")):
            return dict(binding)
        problem = "a field of another type"
    except FileNotFoundError:
        raise UsageError(
            f"the calibration cache {cache} does not say of which model it is",
            expected=f"{path.name} beside it",
            hint="if it is of this model: tf2trt calibrate MODEL --import-cache FILE -o NEW_FILE",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise UsageError(
        f"{path} cannot be read", received=problem, hint="take the cache and this file away and calibrate again"
    )


def _damaged(name: str, received: str, expected: Optional[str] = None) -> UsageError:
    return UsageError(
        f"{name} is no whole calibration cache of TensorRT",
        received=received,
        expected=expected,
        hint="calibrate again",
    )
