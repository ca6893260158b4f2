"""From paths to subjects: what each one is, in which ways and precisions it is run, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from tf2trt.bench.options import BenchOptions
from tf2trt.build.onnx_inputs import read_onnx_types
from tf2trt.errors import UsageError
from tf2trt.export import keras
from tf2trt.export.saved_model import is_saved_model
from tf2trt.precisions import PRECISIONS
from tf2trt.sidecar import Sidecar

__all__ = ["Subject", "expand"]

_ENGINES = (".engine", ".plan", ".trt")
# With calibration data; TF-TRT's INT8, and the hybrid's after it, takes FP16 where a layer has no INT8.
_TF_TRT_PRECISIONS = ("fp32", "tf32", "fp16", "int8+fp16")
_HYBRID_PRECISIONS = (*_TF_TRT_PRECISIONS, "bf16")
_CALIBRATE = "INT8 needs scales: give --calib, or what `tf2trt calibrate` or `tf2trt hybrid --calib` makes of it"


@dataclass(frozen=True)
class Subject:
    """One way to run one model in one precision: a worker's whole task.

    ``kind`` is one of :data:`~tf2trt.bench.results.KINDS`. ``holds`` is what the worker opens: ``"engine"``,
    ``"keras"``, ``"tensorflow"``, ``"tf-trt"`` or ``"hybrid"``. ``build`` says how it is made of ``path``
    (``"onnx"``, ``"convert"``, ``"tf-trt"``, ``"hybrid"``); None: it is there.
    """

    name: str
    kind: str
    path: str
    precision: str
    holds: str
    build: Optional[str] = None

    @property
    def needs_gpu(self) -> bool:
        """Whether it cannot run without one."""
        return self.holds not in ("keras", "tensorflow")

    @property
    def needs_tensorflow(self) -> bool:
        """Whether TensorFlow takes part in running or building it."""
        return self.holds != "engine" or self.build == "convert"

    def regimes(self, asked: Sequence[str]) -> Tuple[str, ...]:
        """Those of ``asked`` in which it can be measured: nobody can put CUDA events around TensorFlow's work."""
        return tuple(each for each in asked if each != "gpu" or self.holds == "engine")


def expand(options: BenchOptions, tf32: bool) -> Tuple[List[Subject], List[str]]:
    """The subjects in the order of their paths, with names of their own, and sentences on what is left out.

    Args:
        tf32: whether TensorFlow runs in TF32 here if nobody says otherwise (there is a GPU that has it).

    Raises:
        UsageError: a path that is nothing known, or of which nothing is left.
    """
    subjects: List[Subject] = []
    notes: List[str] = []
    for path in dict.fromkeys(options.subjects):
        found = list(_expand(Path(path), options, tf32, notes))
        if not found:
            raise UsageError(f"nothing of {path} can be measured", received="; ".join(notes[-3:]))
        subjects += found
    return _with_own_names(subjects), notes


def _expand(path: Path, options: BenchOptions, tf32: bool, notes: List[str]) -> Iterator[Subject]:
    name, suffix = path.resolve().name, path.suffix.lower()
    if not path.exists():
        raise UsageError(f"there is nothing at {path}", expected=_expected())
    if suffix in _ENGINES:
        sidecar = Sidecar.read(path)
        yield Subject(name, "engine", str(path), sidecar.precision_asked if sidecar else "not known", "engine")
    elif suffix == ".onnx":
        quantised = "int8" in read_onnx_types(path)
        for precision in options.precisions:
            if ("int8" in precision) != quantised and (quantised or options.calib is None):
                why = "It has INT8 scales: --precision int8" if quantised else _CALIBRATE
                notes.append(f"{name} in {precision} is left out. {why}")
                continue
            yield Subject(f"{name} {precision}", "onnx", str(path), precision, "engine", "onnx")
    elif suffix in keras.SUFFIXES:
        yield from _ways(path, name, "keras", options, tf32, notes)
    elif is_saved_model(path):
        converted = _converted(path)
        if converted is not None:
            yield Subject(name, converted, str(path), "as converted", converted)
        else:
            yield from _ways(path, name, "tensorflow", options, tf32, notes)
    else:
        raise UsageError(f"{path} is nothing that can be measured", expected=_expected())


def _ways(path: Path, name: str, kind: str, options: BenchOptions, tf32: bool, notes: List[str]) -> Iterator[Subject]:
    """A model of TensorFlow's, in each backend."""
    if "native" in options.backends:
        for precision in _native_precisions(options, tf32):
            yield Subject(f"{name} native {precision}", kind, str(path), precision, kind)
    built: Dict[str, Any] = {
        "tf-trt": ("tf-trt", "tf-trt", "tf-trt", _TF_TRT_PRECISIONS),
        "hybrid": ("hybrid", "hybrid", "hybrid", _HYBRID_PRECISIONS),
        "engine": ("engine", "engine", "convert", PRECISIONS),
    }
    for backend in options.backends:
        if backend not in built:
            continue
        its_kind, holds, how, possible = built[backend]
        for precision in options.precisions:
            label = f"{name} {backend} {precision}"
            if "int8" in precision and options.calib is None:
                notes.append(f"{label} is left out. {_CALIBRATE}")
            elif precision not in possible:
                instead = "; its INT8 is int8+fp16" if precision == "int8" else ""
                notes.append(f"{label} is left out. {backend} has no {precision}{instead}")
            else:
                yield Subject(label, its_kind, str(path), precision, holds, how)


def _native_precisions(options: BenchOptions, tf32: bool) -> Tuple[str, ...]:
    if not tf32:
        return ("fp32",)
    asked = tuple(each for each in options.precisions if each in ("fp32", "tf32"))
    return asked or ("tf32",)


def _converted(path: Path) -> Optional[str]:
    """Whose engines the SavedModel has in it; None: nobody's. The op's name is in the file as it stands."""
    for file in (path / "saved_model.pb", path / "saved_model.pbtxt"):
        if file.is_file():
            content = file.read_bytes()
            for kind, op in (("hybrid", b"Tf2TrtEngine"), ("tf-trt", b"TRTEngineOp")):
                if op in content:
                    return kind
    return None


def _with_own_names(subjects: Sequence[Subject]) -> List[Subject]:
    """A name that is taken gets its folder's name before it, and a number where that is not enough."""
    named: Dict[str, Subject] = {}
    for subject in subjects:
        name = subject.name
        if name in named:
            name = f"{Path(subject.path).resolve().parent.name}/{name}"
        base, number = name, 2
        while name in named:
            name, number = f"{base} #{number}", number + 1
        named[name] = replace(subject, name=name)
    return list(named.values())


def _expected() -> str:
    return f"{', '.join(_ENGINES)}, .onnx, {', '.join(keras.SUFFIXES)}, or a SavedModel's folder"
