"""``tf2trt doctor``: what is installed here and what it can do. Nothing that is missing makes it fail."""

from __future__ import annotations

import importlib.util
import platform
import re
from importlib import metadata
from typing import Any, Dict, List, Optional, Tuple

import click

import tf2trt
from tf2trt.cli.output import Output, json_option, short_path

# The tools of tf2trt's own developers are nobody else's business.
_DEVELOPER_EXTRAS = ("all", "lint", "test")
_KINDS = {"full": "TensorRT", "lean": "TensorRT lean", "rtx": "TensorRT-RTX"}


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Say what this machine has and what tf2trt can do with it."""
    with Output(as_json) as out:
        system, device, libraries, extras = _system(), _device(), _libraries(), _extras()
        can = _abilities(device, libraries)
        plugins = _plugins()
        out.result(
            {
                "system": system,
                "device": device,
                "libraries": libraries,
                "plugins": plugins,
                "extras": extras,
                "can": can,
            }
        )
        place = plugins.get("path")
        rows = [
            *system.items(),
            ("GPU", _device_line(device)),
            ("memory", _memory_line(device)),
            ("plugins", short_path(place) if place else plugins["error"]),
        ]
        out.table("This machine", ("", ""), rows)
        out.table("TensorRT", ("where", "version", "can", "file or reason"), [_library_row(each) for each in libraries])
        out.table(
            "Optional packages",
            ("extra", "packages", ""),
            [_extra_row(name, extra) for name, extra in extras.items()],
        )
        for name, reason in can.items():
            line, style = ("yes", "green") if reason is None else (f"no: {reason}", "yellow")
            out.say(f"{name:<8} {line}", style)


def _system() -> Dict[str, str]:
    return {
        "tf2trt": tf2trt.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _device() -> Dict[str, Any]:
    """The GPU, or ``error`` where there is none."""
    from tf2trt import _native
    from tf2trt.errors import DeviceError

    try:
        device = _native.device()
    except DeviceError as error:
        return {"error": str(error)}
    version = device.driver_version
    return {
        "name": device.name,
        "compute_capability": ".".join(str(part) for part in device.compute_capability),
        "total_memory": device.total_memory,
        "integrated": device.integrated,
        "memory": "mapped" if device.integrated else "copy",
        "cuda_driver": f"{version // 1000}.{version % 1000 // 10}",
    }


def _plugins() -> Dict[str, str]:
    """The ``path`` of tf2trt's plugin library, or ``error``."""
    from tf2trt import _native
    from tf2trt.errors import PluginError

    try:
        path = _native.find_plugin_library()
    except PluginError as error:
        return {"error": str(error).replace("\n", ";")}
    return {"path": path} if path else {"error": "not here: there was no nvcc when tf2trt was installed"}


def _device_line(device: Dict[str, Any]) -> str:
    if "error" in device:
        return str(device["error"]).splitlines()[0]
    return "{name}, compute capability {compute_capability}, CUDA {cuda_driver} driver".format(**device)


def _memory_line(device: Dict[str, Any]) -> str:
    """Where the runtime puts inputs and outputs, and why."""
    if "error" in device:
        return "without a GPU none is used"
    if device["memory"] == "mapped":
        return "mapped: the GPU shares the host's memory, so nothing is copied (--memory copy turns it off)"
    return "copied: the GPU has memory of its own (--memory mapped has it read the host's)"


def _libraries() -> List[Dict[str, Any]]:
    from tf2trt import libraries

    found: List[Dict[str, Any]] = []
    for candidate in libraries.candidates():
        library = candidate.library
        entry: Dict[str, Any] = {"path": candidate.path, "source": candidate.source, "reason": candidate.reason}
        if library is not None:
            entry.update(
                version=library.version_text,
                generation=library.generation,
                kind=library.kind,
                can_build=library.can_build,
                can_parse=library.can_parse,
                builds_without_gpu=library.builds_without_gpu,
            )
        found.append(entry)
    return found


def _library_row(entry: Dict[str, Any]) -> List[str]:
    if entry["reason"]:
        return [entry["source"], entry.get("version", ""), "nothing", f"{short_path(entry['path'])}: {entry['reason']}"]
    can = "run only"
    if entry["can_build"]:
        can = "build, parse, run" if entry["can_parse"] else "build and run, no ONNX parser"
        if entry["builds_without_gpu"]:
            can += "; builds without a GPU"
    return [entry["source"], f"{_KINDS[entry['kind']]} {entry['version']}", can, short_path(entry["path"])]


def _extras() -> Dict[str, Dict[str, Any]]:
    """What each extra asks for, as the package's own metadata says it, and what of it is there."""
    wanted: Dict[str, List[Dict[str, Any]]] = {}
    for requirement in _requirements():
        extra = re.search(r"""extra == ["']([\w-]+)["']""", requirement)
        name = re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]
        if extra and extra.group(1) not in _DEVELOPER_EXTRAS and name != "tf2trt":
            elsewhere = "platform_machine" in requirement and platform.machine() != "x86_64"
            wanted.setdefault(extra.group(1), []).append(
                {"name": name, "version": _version(name), "not_for_this_machine": elsewhere}
            )
    extras: Dict[str, Dict[str, Any]] = {}
    for extra_name, packages in wanted.items():
        missing = [each for each in packages if each["version"] is None and not each["not_for_this_machine"]]
        extras[extra_name] = {
            "packages": packages,
            "install": f"pip install 'tf2trt[{extra_name}]'" if missing else None,
        }
    return extras


def _requirements() -> List[str]:
    try:
        return metadata.requires("tf2trt") or []
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return []


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extra_row(name: str, extra: Dict[str, Any]) -> List[str]:
    return [name, ", ".join(_package_text(each) for each in extra["packages"]), extra["install"] or "installed"]


def _package_text(package: Dict[str, Any]) -> str:
    if package["not_for_this_machine"]:
        return f"{package['name']} (x86-64 only)"
    return f"{package['name']} {package['version'] or '(missing)'}"


def _abilities(device: Dict[str, Any], libraries: List[Dict[str, Any]]) -> Dict[str, Optional[str]]:
    """Export, build and run: None where this machine can, else the reason."""
    usable = [entry for entry in libraries if not entry["reason"]]
    builders = [entry for entry in usable if entry["can_build"] and entry["can_parse"]]
    no_gpu = "error" in device

    build: Optional[str] = None
    run: Optional[str] = None
    if not builders:
        build = "no TensorRT that can build; pip install 'tf2trt[trt]', or 'tf2trt[rtx]' without a GPU"
    elif no_gpu and not any(entry["builds_without_gpu"] for entry in builders):
        build = "this TensorRT builds only where there is a GPU; pip install 'tf2trt[rtx]' builds without one"
    if no_gpu:
        run = "no GPU"
    elif not usable:
        run = "no TensorRT"
    return {"export": _missing(("tensorflow", "tf2onnx", "onnx"), "export"), "build": build, "run": run}


def _missing(modules: Tuple[str, ...], extra: str) -> Optional[str]:
    """The pip command, where one of these modules is not installed."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed; pip install 'tf2trt[{extra}]'" if absent else None
