"""``m.engine.json`` beside ``m.engine``: what the plan is, where it runs, and hashes that tie the two together."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from tf2trt.errors import EngineDeviceError, EngineError, EngineVersionError, PluginError
from tf2trt.files import atomic_write
from tf2trt.precisions import PrecisionProof
from tf2trt.specs import ShapeRange, TensorSpec

if TYPE_CHECKING:
    from tf2trt import _native

__all__ = [
    "FORMAT",
    "Origin",
    "Sidecar",
    "check_device",
    "check_hash",
    "check_plugins",
    "check_size",
    "check_version",
    "plugin_entry",
    "sha256",
    "sidecar_path",
]

FORMAT = 1
PathLike = Union[str, "os.PathLike[str]"]

Origin = Tuple[str, str]
"""The Keras layer and the TensorFlow op that a node of the ONNX file came from; ``""`` for what is not known."""


def sidecar_path(engine: PathLike) -> Path:
    """``m.engine`` -> ``m.engine.json``."""
    return Path(f"{os.fspath(engine)}.json")


def sha256(data: Any) -> str:
    """The SHA-256 of a buffer (bytes, mmap, memoryview), in hex."""
    return hashlib.sha256(data).hexdigest()


def plugin_entry(path: PathLike) -> Dict[str, str]:
    """What is recorded of a plugin library: its file's name and SHA-256.

    Raises:
        PluginError: it cannot be read.
    """
    library = Path(path)
    try:
        return {"file": library.name, "sha256": sha256(library.read_bytes())}
    except OSError as error:
        raise PluginError(
            f"cannot read the plugin library {library}", received=error.strerror or str(error), hint="check the path"
        ) from error


@dataclass(frozen=True)
class Sidecar:
    """What is known about a plan. Written by the builder, read before the plan is deserialised.

    ``device_name`` and ``compute_capability`` are None where TensorRT-RTX built ahead of time without a GPU.
    ``precision_found`` counts the layers by output type, such as ``{"float16": 12, "float32": 2}``.
    ``plugins`` holds, for each plugin library that was loaded for the build, its ``file`` name and ``sha256``.
    ``created`` is UTC in ISO 8601; ``seconds`` is the time that building took. ``layer_precision`` is what was asked of
    single layers. ``proof`` says what each layer computes in; None in sidecars of before it was known. ``origins`` says
    what the nodes of the ONNX file came from, by the nodes' names, as far as the file knew.
    """

    tf2trt: str
    tensorrt: str
    generation: int
    kind: str
    version_compatible: bool
    device_name: Optional[str]
    compute_capability: Optional[Tuple[int, int]]
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    profiles: Tuple[Mapping[str, ShapeRange], ...]
    precision_asked: str
    precision_found: Mapping[str, int]
    plugins: Tuple[Mapping[str, str], ...]
    onnx_file: str
    onnx_sha256: str
    plan_sha256: str
    plan_bytes: int
    seconds: float
    created: str
    layer_precision: Tuple[Tuple[str, str], ...] = ()
    proof: Optional[PrecisionProof] = None
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        """The file's content as plain values."""
        device = None
        if self.device_name is not None and self.compute_capability is not None:
            device = {"name": self.device_name, "compute_capability": "{}.{}".format(*self.compute_capability)}
        precision: Dict[str, Any] = {"asked": self.precision_asked, "found": dict(self.precision_found)}
        if self.layer_precision:
            precision["asked_of_layers"] = [list(rule) for rule in self.layer_precision]
        if self.proof is not None:
            precision["proof"] = self.proof.to_json()
        return {
            "format": FORMAT,
            "tf2trt": self.tf2trt,
            "tensorrt": {
                "version": self.tensorrt,
                "generation": self.generation,
                "kind": self.kind,
                "version_compatible": self.version_compatible,
            },
            "device": device,
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "profiles": [{name: _range_to_json(shapes) for name, shapes in entry.items()} for entry in self.profiles],
            "precision": precision,
            "plugins": [dict(plugin) for plugin in self.plugins],
            "onnx": {
                "file": self.onnx_file,
                "sha256": self.onnx_sha256,
                **({"origins": {name: list(origin) for name, origin in self.origins.items()}} if self.origins else {}),
            },
            "plan": {"sha256": self.plan_sha256, "bytes": self.plan_bytes},
            "seconds": self.seconds,
            "created": self.created,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sidecar:
        """The inverse of :meth:`to_json`; members that this version does not know are passed over.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: the value is not a sidecar's content.
        """
        tensorrt, precision, device = value["tensorrt"], value["precision"], value["device"]
        return cls(
            tf2trt=str(value["tf2trt"]),
            tensorrt=str(tensorrt["version"]),
            generation=int(tensorrt["generation"]),
            kind=str(tensorrt["kind"]),
            version_compatible=bool(tensorrt["version_compatible"]),
            device_name=None if device is None else str(device["name"]),
            compute_capability=None if device is None else _capability(device["compute_capability"]),
            inputs=tuple(_spec_from_json(spec) for spec in value["inputs"]),
            outputs=tuple(_spec_from_json(spec) for spec in value["outputs"]),
            profiles=tuple(
                {str(name): _range_from_json(shapes) for name, shapes in entry.items()} for entry in value["profiles"]
            ),
            precision_asked=str(precision["asked"]),
            precision_found={str(name): int(count) for name, count in precision["found"].items()},
            plugins=tuple(dict(plugin) for plugin in value["plugins"]),
            onnx_file=str(value["onnx"]["file"]),
            onnx_sha256=str(value["onnx"]["sha256"]),
            plan_sha256=str(value["plan"]["sha256"]),
            plan_bytes=int(value["plan"]["bytes"]),
            seconds=float(value["seconds"]),
            created=str(value["created"]),
            layer_precision=tuple((str(pattern), str(kind)) for pattern, kind in precision.get("asked_of_layers", ())),
            proof=PrecisionProof.from_json(precision["proof"]) if "proof" in precision else None,
            origins={
                str(name): (str(layer), str(op)) for name, (layer, op) in value["onnx"].get("origins", {}).items()
            },
        )

    def write(self, engine: PathLike) -> None:
        """Writes the file that belongs to ``engine``, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        text = json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        atomic_write(sidecar_path(engine), text.encode())

    @classmethod
    def read(cls, engine: PathLike) -> Optional[Sidecar]:
        """The sidecar of ``engine``, or None where it has none.

        Raises:
            EngineError: there is one, but it is damaged or of a format that this tf2trt does not know.
        """
        path = sidecar_path(engine)
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        known = value.get("format") if isinstance(value, dict) else None
        if known != FORMAT:
            raise EngineError(
                f"{path} is of an unknown format",
                received=f"format {known!r}",
                expected=f"format {FORMAT}",
                hint="a newer tf2trt wrote it: update tf2trt, or build the engine again with this one",
            )
        try:
            return cls.from_json(value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> EngineError:
    return EngineError(
        f"{path} is damaged",
        received=f"{type(error).__name__}: {error}",
        hint="build the engine again, or remove this file to load the engine without its checks",
    )


def _spec_from_json(value: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(str(value["name"]), str(value["dtype"]), _shape(value["shape"]))


def _range_to_json(shapes: ShapeRange) -> Dict[str, Any]:
    return {"min": list(shapes.min), "opt": list(shapes.opt), "max": list(shapes.max)}


def _range_from_json(value: Mapping[str, Any]) -> ShapeRange:
    return ShapeRange(_shape(value["min"]), _shape(value["opt"]), _shape(value["max"]))


def _shape(value: Any) -> Tuple[int, ...]:
    return tuple(int(extent) for extent in value)


def _capability(text: str) -> Tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


# The checks of an engine before it is deserialised, in the order in which the runtime makes them. None needs a GPU:
# check_device compares values. An engine without a sidecar passes those that need one.


def check_size(engine: PathLike, size: int, sidecar: Optional[Sidecar]) -> None:
    """Compares the file's size in bytes with the one that was written.

    Raises:
        EngineError: they differ; the file was cut short or replaced.
    """
    if sidecar is not None and size != sidecar.plan_bytes:
        raise EngineError(
            f"{os.fspath(engine)} is {'truncated' if size < sidecar.plan_bytes else 'not the plan that was built'}",
            received=f"{size} bytes",
            expected=f"{sidecar.plan_bytes} bytes, as {sidecar_path(engine).name} says",
            hint="copy both files again, or build the engine again",
        )


def check_version(
    engine: PathLike, header: Tuple[int, int, int, int], sidecar: Optional[Sidecar], library: _native.Library
) -> None:
    """Compares the version in the plan's header (major, minor, patch, build) with the loaded TensorRT.

    A plan is read by the version that wrote it; a version-compatible one by every TensorRT of its major version. A
    plan without a sidecar does not say whether it is version-compatible: within its major version it passes here, and
    TensorRT decides.

    Raises:
        EngineVersionError: the library cannot read the plan.
    """
    written = ".".join(str(part) for part in header[:3])
    # TensorRT-RTX counts its versions anew: 1.7 is no TensorRT 1.7, and neither reads the other's plans.
    crossed = sidecar is not None and (sidecar.kind == "rtx") != (library.kind == "rtx")
    bound = sidecar is not None and not sidecar.version_compatible
    if header[:3] == library.version and not crossed and not (bound and library.kind == "lean"):
        return
    if header[0] == library.version[0] and not crossed and not bound:
        return
    writer = "TensorRT-RTX" if sidecar is not None and sidecar.kind == "rtx" else "TensorRT"
    reader = {"rtx": "TensorRT-RTX", "lean": "the lean TensorRT runtime"}.get(library.kind, "TensorRT")
    if bound and library.kind == "lean":
        hint = f"build it with --version-compatible, or load the full {writer} {written}"
    else:
        hint = f"build the engine again on this machine, or point TF2TRT_NVINFER at {writer} {written}"
    raise EngineVersionError(
        f"{os.fspath(engine)} cannot be read by the loaded TensorRT",
        received=f"a plan of {writer} {written}" + (" that is not version-compatible" if bound else ""),
        expected=f"a plan for {reader} {library.version_text} ({library.path})",
        hint=hint,
    )


def check_hash(engine: PathLike, plan: Any, sidecar: Optional[Sidecar]) -> None:
    """Compares the plan's SHA-256 with the one that was written: reads the whole file once, about 1 s a gigabyte.

    Raises:
        EngineError: they differ; the file was damaged or replaced.
    """
    if sidecar is None:
        return
    found = sha256(plan)
    if found != sidecar.plan_sha256:
        raise EngineError(
            f"{os.fspath(engine)} is damaged: it is not the plan that {sidecar_path(engine).name} describes",
            received=f"SHA-256 {found}",
            expected=f"SHA-256 {sidecar.plan_sha256}",
            hint="copy both files again, or build the engine again",
        )


def check_plugins(
    engine: PathLike, sidecar: Optional[Sidecar], given: Sequence[PathLike], own: Optional[PathLike] = None
) -> None:
    """Whether every plugin library of the build is there: among ``given``, or ``own``, which is tf2trt's.

    A library is known by its hash or, since it may have been built again, by its file's name; then a
    ``RuntimeWarning`` says that it is another build.

    Raises:
        PluginError: one is missing, or one of ``given`` cannot be read.
    """
    needed = sidecar.plugins if sidecar is not None else ()
    present = [plugin_entry(path) for path in [*given, *([own] if own else [])]]
    for wanted in needed:
        if any(entry["sha256"] == wanted["sha256"] for entry in present):
            continue
        if not any(entry["file"] == wanted["file"] for entry in present):
            raise PluginError(
                f"{os.fspath(engine)} needs the plugin library {wanted['file']}, which is not here",
                received=", ".join(entry["file"] for entry in present) or "no plugin library",
                expected=f"{wanted['file']} (SHA-256 {wanted['sha256']})",
                hint="install tf2trt where there is nvcc, or name the file in TF2TRT_PLUGINS_LIBRARY"
                if wanted["file"] == "libtf2trt_plugins.so"
                else f"name it: plugin_libraries=['.../{wanted['file']}'], or --plugin-library on the command line",
            )
        warnings.warn(
            f"{os.fspath(engine)} was built with another build of {wanted['file']}", RuntimeWarning, stacklevel=3
        )


def check_device(engine: PathLike, sidecar: Optional[Sidecar], name: str, compute_capability: Tuple[int, int]) -> None:
    """Compares the GPU that the plan was built for with the one given (its name and compute capability).

    Raises:
        EngineDeviceError: the compute capabilities differ.
    """
    built_for = sidecar.compute_capability if sidecar is not None else None
    if sidecar is None or built_for is None or built_for == compute_capability:
        return
    raise EngineDeviceError(
        f"{os.fspath(engine)} was built for another GPU",
        received="{} (compute capability {}.{})".format(sidecar.device_name, *built_for),
        expected="{} (compute capability {}.{})".format(name, *compute_capability),
        hint="build the engine on the GPU that is to run it",
    )
