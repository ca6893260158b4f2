"""An engine, looked at: its header, its sidecar and, where this machine can open it, TensorRT's inspector."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from tf2trt import _native
from tf2trt.errors import DeviceError, EngineError, LibraryError, PluginError
from tf2trt.inspect.before import find_before, origins_of
from tf2trt.inspect.engine_network import network_from_information, network_from_sidecar
from tf2trt.inspect.inspection import Inspection
from tf2trt.inspect.network import Network
from tf2trt.inspect.opened import Opened, open_engine
from tf2trt.inspect.words import one_line
from tf2trt.runtime.plan import map_plan
from tf2trt.sidecar import Sidecar, check_hash, check_size

__all__ = ["inspect_engine"]

PathLike = Union[str, "os.PathLike[str]"]

# Another machine may open the plan, whose header and hash are right: it is described all the same.
_NOT_HERE = (DeviceError, EngineError, LibraryError, PluginError)
_RTX_TAG = b"vtrt"
_SHOWN = 5  # names in a note


def inspect_engine(path: Path, *, profile: bool = False, plugin_libraries: Sequence[PathLike] = ()) -> Inspection:
    """Describes a plan. Where it is for another TensorRT or GPU, or there is none here, its header and its sidecar are
    all that is read, and the notes say why.

    Args:
        profile: run it on random inputs of the usual shapes, and time each layer: the median of 20 runs, in which
            TensorRT waits after every layer.

    Raises:
        EngineError: the file is missing, truncated, damaged or no plan, or its sidecar is damaged or another plan's.
        EngineError, LibraryError, PluginError, DeviceError: with ``profile``, which runs it: why it does not run here.
    """
    header, rtx, size, sidecar = _read(path)
    opened, notes = None, []
    try:
        opened = open_engine(path, profile=profile, plugin_libraries=plugin_libraries)
    except _NOT_HERE as error:
        if profile:
            raise
        known = "its header" if sidecar is None else "its header and sidecar"
        notes.append(f"not opened here, described from {known}: {one_line(error)}")
    names = _interface(opened, sidecar)
    before, more = find_before(path, sidecar, *names) if names else (None, [])
    notes += more
    origins = {**(origins_of(before) if before else {}), **(sidecar.origins if sidecar else {})}
    network, source = _network(path.name, opened, sidecar, list(origins), notes)
    network = replace(network, layers=tuple(layer.from_nodes(origins) for layer in network.layers))
    if source == "sidecar" and before is not None:
        network = network.with_tensors_of(before)
    profiles = opened.profiles if opened else sidecar.profiles if sidecar else ()
    return Inspection(
        path=str(path),
        kind="engine",
        source=source,
        network=network,
        before=before,
        profiles=tuple(profiles),
        versions=_versions(header, rtx, sidecar),
        build=_build(sidecar),
        memory={"plan": size, **({"context": opened.context_bytes} if opened else {})},
        plugins={entry["file"]: f"SHA-256 {entry['sha256']}" for entry in (sidecar.plugins if sidecar else ())},
        times=None if network.milliseconds is None else "profile" if profile else "build",
        notes=tuple(notes),
    )


def _network(
    title: str, opened: Optional[Opened], sidecar: Optional[Sidecar], order: Sequence[str], notes: List[str]
) -> Tuple[Network, str]:
    """The layers, with the times that are known, and where they come from; adds to ``notes`` what is missing."""
    if opened is None:
        if sidecar is None:
            notes.append("without a sidecar and without opening it, nothing is known of its inputs, outputs and layers")
            return Network(title, ()), "nothing"
        network = network_from_sidecar(sidecar, title)
        if not network.layers:
            notes.append("its sidecar tells of no layers")
        elif sidecar.proof is not None and sidecar.proof.source == "network":
            notes.append("the layers are those of the parsed network: TensorRT fuses them when it builds")
        return network, "sidecar" if network.layers else "nothing"
    try:
        network = network_from_information(opened.information, title, opened.inputs, opened.outputs, order)
    except ValueError as error:
        notes.append(f"TensorRT's inspector answered no JSON: {error}")
        return Network(title, (), opened.inputs, opened.outputs), "nothing"
    if not network.layers:
        notes.append("TensorRT's inspector tells nothing of the layers: the engine was built to keep them for itself")
    elif not any(layer.kind for layer in network.layers):
        notes.append("TensorRT's inspector tells names alone: the engine was not built with detailed verbosity")
    if opened.times:
        network, others = network.timed(opened.times)
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            notes.append(f"timed, but not among the inspector's layers: {', '.join(others[:_SHOWN])}{more}")
    elif sidecar is not None and sidecar.proof is not None:
        built = [(layer.name, layer.milliseconds) for layer in sidecar.proof.layers]
        network, _ = network.timed([(name, time) for name, time in built if time is not None])
    return network, "inspector"


def _interface(opened: Optional[Opened], sidecar: Optional[Sidecar]) -> Optional[Tuple[List[str], List[str]]]:
    """The names of the inputs and outputs, where they are known."""
    known = opened or sidecar
    return ([each.name for each in known.inputs], [each.name for each in known.outputs]) if known else None


def _read(path: Path) -> Tuple[_native.PlanHeader, bool, int, Optional[Sidecar]]:
    """The header, whether it is TensorRT-RTX's, the size in bytes and the sidecar; both files belong together."""
    with map_plan(path) as plan:
        header = _native.read_plan_header(plan, str(path))
        sidecar = Sidecar.read(path)
        check_size(path, len(plan), sidecar)
        check_hash(path, plan, sidecar)
        return header, plan[:4] == _RTX_TAG, len(plan), sidecar


def _versions(header: _native.PlanHeader, rtx: bool, sidecar: Optional[Sidecar]) -> Dict[str, str]:
    versions = {"TensorRT-RTX" if rtx else "TensorRT": header.version_text}
    if sidecar is not None:
        versions["tf2trt"] = sidecar.tf2trt
        versions["version-compatible"] = "yes" if sidecar.version_compatible else "no"
    return versions


def _build(sidecar: Optional[Sidecar]) -> Dict[str, str]:
    """How it was built, in words."""
    if sidecar is None:
        return {}
    gpu = "none: built ahead of time"
    if sidecar.device_name is not None and sidecar.compute_capability is not None:
        gpu = "{} (compute capability {}.{})".format(sidecar.device_name, *sidecar.compute_capability)
    found = {"GPU": gpu, "precision asked": sidecar.precision_asked}
    if sidecar.layer_precision:
        found["asked of layers"] = ", ".join(f"{pattern}={kind}" for pattern, kind in sidecar.layer_precision)
    if sidecar.precision_found:
        found["layers give"] = ", ".join(f"{count} {name}" for name, count in sidecar.precision_found.items())
    if sidecar.proof is not None and sidecar.proof.share is not None:
        found["heavy layers as asked"] = f"{sidecar.proof.share:.0%}"
        if sidecar.proof.time_share is not None:
            found["heavy layers as asked"] += f", {sidecar.proof.time_share:.0%} of their time"
    found["ONNX file"] = sidecar.onnx_file
    found["built"] = f"{sidecar.created}, in {sidecar.seconds:.1f} s"
    return found
