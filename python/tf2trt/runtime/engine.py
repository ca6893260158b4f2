"""A loaded ``.engine`` file."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from tf2trt import _native, libraries
from tf2trt.errors import EngineError, EngineVersionError
from tf2trt.runtime.checks import Profile, bind, check_arrays
from tf2trt.runtime.context import ExecutionContext
from tf2trt.runtime.device import PrimaryContext, primary_context
from tf2trt.sidecar import Sidecar, check_device, check_hash, check_plugins, check_size, check_version
from tf2trt.specs import ShapeRange, TensorSpec

__all__ = ["Engine"]


class Engine:
    """A TensorRT plan, loaded and ready to run on one GPU::

        with Engine.load("m.engine") as engine:
            y = engine(x)

    Arrays are NumPy arrays, C order or not, of exactly the engine's dtypes. Work happens in the GPU's primary context,
    which is current only during a call. Calls from several threads take turns.
    """

    def __init__(self, native: _native.Engine, device: PrimaryContext, path: Path, sidecar: Optional[Sidecar]) -> None:
        """Use :meth:`load`."""
        self.path = path
        self.sidecar = sidecar
        tensors = native.tensors
        _refuse_shape_tensors(tensors, path)
        self.inputs: Tuple[TensorSpec, ...] = tuple(_specs(tensors, is_input=True))
        self.outputs: Tuple[TensorSpec, ...] = tuple(_specs(tensors, is_input=False))
        self.profiles: Tuple[Profile, ...] = tuple(
            {spec.name: ShapeRange(*native.profile_shape(spec.name, index)) for spec in self.inputs}
            for index in range(native.profile_count)
        )
        self._device = device
        self._native: Optional[_native.Engine] = native
        self._context = ExecutionContext(native, self.inputs, self.outputs, self.profiles, device)
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: Union[str, os.PathLike[str]],
        *,
        library: Optional[_native.Library] = None,
        device: int = 0,
        plugin_libraries: Sequence[Union[str, os.PathLike[str]]] = (),
    ) -> Engine:
        """Loads a plan. The file, its header and its sidecar are checked before the driver or the GPU is touched.

        ``library`` is the TensorRT to run it with, by default the first one found that reads this plan; ``device`` is
        the GPU's ordinal. ``plugin_libraries`` are the files of the plugin libraries that the engine was built with;
        tf2trt's own is found and loaded without being named.

        Raises:
            EngineError: the file is missing, truncated, damaged or no plan.
            EngineVersionError: another TensorRT version wrote it.
            EngineDeviceError: it was built for another GPU.
            LibraryNotFoundError: no TensorRT was found.
            PluginError: a plugin library that the engine needs is missing, or TensorRT refuses it.
            DeviceError: no NVIDIA driver, no such GPU, or the GPU's memory is full.
            MissingExtraError: pycuda is not installed.
        """
        engine = Path(path)
        plan = _map(engine)
        sidecar = Sidecar.read(engine)
        check_size(engine, len(plan), sidecar)
        header = _native.read_plan_header(plan, str(engine)).version
        if library is None:
            library = _library_for(engine, header, sidecar)
        else:
            check_version(engine, header, sidecar, library)
        needs_plugins = sidecar is not None and sidecar.plugins
        check_plugins(engine, sidecar, plugin_libraries, _native.find_plugin_library() if needs_plugins else None)
        check_hash(engine, plan, sidecar)
        gpu = _native.device(device)
        check_device(engine, sidecar, gpu.name, gpu.compute_capability)
        context = primary_context(device)
        with context:
            for path in plugin_libraries:
                _native.load_plugin_library(library, os.fspath(path))
            try:
                native = _native.Engine.deserialize(library, plan)
            except EngineError as error:
                if header[:3] == library.version or isinstance(error, EngineVersionError):
                    raise
                raise EngineVersionError(
                    f"{engine} cannot be read by the loaded TensorRT",
                    received="a plan of TensorRT {}.{}.{}".format(*header),
                    expected=f"one of {library.version_text}, or a version-compatible one",
                    hint="build the engine again on this machine",
                ) from error
            return cls(native, context, engine, sidecar)

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        """Runs the engine once and waits for it.

        Inputs are given by position in the order of :attr:`inputs`, by name, or as one mapping from name to array. The
        result is a fresh array, or a dict of fresh arrays by output name where there are several outputs.

        Raises:
            InputError: a name, type, dtype or shape that the engine does not take.
            DeviceError: a CUDA call failed.
            EngineError: the engine is closed.
        """
        arrays = bind(self.inputs, args, named)
        check_arrays(self.inputs, arrays)
        with self._lock:
            results = self._context.run(arrays)
        return results[self.outputs[0].name] if len(self.outputs) == 1 else results

    def time_launches(self, iterations: int) -> List[float]:
        """Milliseconds that the GPU takes for the last call's work, launched ``iterations`` times without any copy.

        CUDA events stand around each launch, which is waited for before the next.

        Raises:
            EngineError: there was no call before, or the engine is closed.
            DeviceError: a CUDA call failed.
        """
        with self._lock:
            return self._context.time_launches(iterations)

    def close(self) -> None:
        """Gives all memory back; waits for a call in another thread. Safe to call twice."""
        with self._lock:
            if self._native is None:
                return
            self._context.close()
            with self._device:
                self._native = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        tensors: Dict[str, str] = {
            "inputs": ", ".join(str(spec) for spec in self.inputs),
            "outputs": ", ".join(str(spec) for spec in self.outputs),
        }
        return f"<Engine {self.path} ({tensors['inputs']}) -> ({tensors['outputs']})>"


def _map(path: Path) -> mmap.mmap:
    """The file as a read-only mapping: what TensorRT does not read is never loaded."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise EngineError(
            f"cannot read the engine {path}", received=error.strerror or str(error), hint="check the path"
        ) from error
    except ValueError as error:  # mmap refuses an empty file
        raise EngineError(f"the engine {path} is empty", hint="copy it again, or build it again") from error


def _library_for(path: Path, header: Tuple[int, int, int, int], sidecar: Optional[Sidecar]) -> _native.Library:
    """The first TensorRT that reads the plan. The others are loaded only where the first one does not."""
    first = libraries.find()
    try:
        check_version(path, header, sidecar, first)
        return first
    except EngineVersionError:
        for candidate in libraries.candidates():
            if candidate.library is not None:
                with contextlib.suppress(EngineVersionError):
                    check_version(path, header, sidecar, candidate.library)
                    return candidate.library
        raise


def _specs(tensors: Any, *, is_input: bool) -> Iterator[TensorSpec]:
    for tensor in tensors:
        if tensor.is_input == is_input:
            yield TensorSpec(tensor.name, tensor.dtype, tuple(tensor.shape))


def _refuse_shape_tensors(tensors: Any, path: Path) -> None:
    # Their values live in host memory and decide other tensors' shapes; no Keras model that was tried has one.
    names = [tensor.name for tensor in tensors if tensor.is_shape]
    if names:
        raise EngineError(
            f"{path} has inputs or outputs that are shapes, which the runtime does not take",
            received=", ".join(names),
            hint="make that input a constant of the model and build again",
        )
