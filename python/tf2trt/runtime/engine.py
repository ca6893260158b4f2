"""A loaded ``.engine`` file."""

from __future__ import annotations

import importlib.util
import os
import weakref
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple, Union

import numpy as np

from tf2trt import _native, libraries
from tf2trt.errors import EngineError, InputError, UsageError
from tf2trt.runtime.batches import batch_limits, run_in_parts
from tf2trt.runtime.checks import Profile, bind
from tf2trt.runtime.context import ExecutionContext
from tf2trt.runtime.plan import deserialize, library_for, map_plan
from tf2trt.runtime.pool import ContextPool
from tf2trt.runtime.stream import stream
from tf2trt.sidecar import Sidecar, check_device, check_hash, check_plugins, check_size, check_version
from tf2trt.specs import Shape, ShapeRange, TensorSpec

__all__ = ["Engine"]

PathLike = Union[str, "os.PathLike[str]"]


class Engine:
    """A TensorRT plan, loaded and ready to run on one GPU::

        with Engine.load("m.engine") as engine:
            y = engine(x)
            for y in engine.map(images, batch=8):
                ...

    Arrays are NumPy arrays, C order or not, of exactly the engine's dtypes; what lies on the GPU already is read there.
    Of an input whose values decide shapes (:attr:`shape_tensors` has its name) the ranges in :attr:`profiles` are those
    of its values. Work happens in the GPU's primary context, which is current only during a call. Any number of threads
    may call one engine: each call takes one of a few execution contexts, and waits where all are in use. The GIL is
    released while the GPU works.
    """

    def __init__(self, native: _native.Engine, options: _Options, path: Path, sidecar: Optional[Sidecar]) -> None:
        """Use :meth:`load`."""
        self.path = path
        self.sidecar = sidecar
        tensors = native.tensors
        self.inputs: Tuple[TensorSpec, ...] = tuple(_specs(tensors, is_input=True))
        self.outputs: Tuple[TensorSpec, ...] = tuple(_specs(tensors, is_input=False))
        values = {tensor.name for tensor in tensors if tensor.is_input and tensor.on_host}
        self.profiles: Tuple[Profile, ...] = tuple(
            {spec.name: limits for spec in self.inputs for limits in _limits(native, spec.name, index, values, sidecar)}
            for index in range(native.profile_count)
        )
        self._order = [tensor.name for tensor in tensors]
        self.shape_tensors = values
        self._native: Optional[_native.Engine] = native
        self._options = options
        self._contexts: weakref.WeakSet[ExecutionContext] = weakref.WeakSet()
        self._pool = ContextPool(self._new_context, options.contexts)
        self._limits = None if values else batch_limits(self.inputs, self.profiles)
        self._annotate = _nvtx_range(path.name)

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        library: Optional[_native.Library] = None,
        lean: bool = False,
        device: int = 0,
        plugin_libraries: Sequence[PathLike] = (),
        memory: str = "auto",
        contexts: int = 8,
        split_batches: bool = False,
        graphs: bool = True,
    ) -> Engine:
        """Loads a plan. The file, its header and its sidecar are checked before the driver or the GPU is touched.

        Args:
            path: the ``.engine`` file. It is mapped into memory, and given back once TensorRT has read it.
            library: the TensorRT to run it with; by default the first one found that reads this plan.
            lean: take the first lean runtime found that reads this plan, which has to be version-compatible.
            device: the GPU's ordinal.
            plugin_libraries: the files of the plugin libraries that the engine was built with; tf2trt's own is found
                and loaded without being named.
            memory: where inputs and outputs lie. ``"copy"``: in pinned host memory and in device memory, with copies
                between the two. ``"mapped"``: in pinned memory that the GPU reads and writes in place, without copies.
                ``"auto"``: mapped on a GPU that shares the host's memory (Jetson), else copied.
            contexts: how many calls may be on their way at once, each with device memory of its own; a context is made
                when a call finds none idle.
            split_batches: batches that are larger than the engine takes are run in parts, and the results joined.
            graphs: replay runs as CUDA graphs; without, each run is enqueued anew, which takes the host longer.

        Raises:
            EngineError: the file is missing, truncated, damaged or no plan.
            EngineVersionError: another TensorRT version wrote it.
            EngineDeviceError: it was built for another GPU.
            LibraryNotFoundError: no TensorRT was found, or with ``lean`` no lean runtime that reads the plan.
            PluginError: a plugin library that the engine needs is missing, or TensorRT refuses it.
            DeviceError: no NVIDIA driver, or no such GPU.
            UsageError: ``memory`` or ``contexts`` cannot work, or both ``library`` and ``lean`` are given.
        """
        options = _Options(memory, contexts, split_batches, device, graphs)
        if lean and library is not None:
            raise UsageError("lean", received=f"library={library.path}", expected="library or lean, not both")
        engine = Path(path)
        with map_plan(engine) as plan:
            sidecar = Sidecar.read(engine)
            check_size(engine, len(plan), sidecar)
            header = _native.read_plan_header(plan, str(engine)).version
            if lean:
                library = libraries.find_lean(_native.read_plan_header(plan, str(engine)))
            if library is None:
                library = library_for(engine, header, sidecar)
            else:
                check_version(engine, header, sidecar, library)
            needs_plugins = sidecar is not None and sidecar.plugins
            check_plugins(engine, sidecar, plugin_libraries, _native.find_plugin_library() if needs_plugins else None)
            check_hash(engine, plan, sidecar)
            gpu = _native.device(device)
            check_device(engine, sidecar, gpu.name, gpu.compute_capability)
            for plugins in plugin_libraries:
                _native.load_plugin_library(library, os.fspath(plugins))
            return cls(deserialize(engine, plan, header, library, device), options, engine, sidecar)

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        """Runs the engine once and waits for it.

        Inputs are given by position in the order of :attr:`inputs`, by name, or as one mapping from name to array; what
        an array may be, :meth:`ExecutionContext.run` says. The result is a fresh array, or a dict of fresh arrays by
        output name where there are several outputs.

        Raises:
            InputError: a name, type, dtype or shape that the engine does not take.
            DeviceError: a CUDA call failed, or memory is missing.
            EngineError: the engine is closed.
        """
        if self._annotate is not None:
            with self._annotate():
                return self._call(args, named)
        return self._call(args, named)

    def context(self) -> ExecutionContext:
        """An execution context of the caller's own, beside those that calls of the engine take.

        Raises:
            DeviceError: the GPU has too little memory for another; the message has the figures.
            EngineError: the engine is closed; or TensorRT 8 built it so that each profile serves one context, and all
                are in use.
        """
        context = self._new_context()
        self._contexts.add(context)
        return context

    def map(self, items: Iterable[Any], *, batch: Optional[int] = None, inflight: int = 3) -> Iterator[Any]:
        """Runs a dataset of any length through the engine and yields each item's result, in order.

        Batches are put together in pinned memory while the GPU works on the batches before, in ``inflight`` contexts;
        no more than that is in memory, whatever the length of ``items``. The calling thread copies, and a second one
        with it where a batch has a MiB or more and there are four cores.

        Args:
            items: samples without the batch's axis: an array each, or a tuple of arrays in the order of :attr:`inputs`,
                or a mapping from name to array. The samples of one batch have one shape.
            batch: how many samples are run at once; by default as many as the engine was optimised for. The last batch
                may be smaller.
            inflight: how many batches are on their way at once: one is filled while the others are on the GPU, where
                small batches run side by side.

        Yields:
            the row of the only output, or a dict of rows by output name.

        Raises:
            UsageError: ``batch`` or ``inflight`` cannot work.
            InputError: an item does not fit; the message has its number.
            DeviceError, EngineError: as for a call.
        """
        if self._limits is None:
            raise UsageError("map", received=f"{self!r}", expected="an engine whose inputs share a batch axis")
        smallest, largest = max(self._limits[0], 1), self._limits[1]
        if batch is None:
            usual = [profile[self.inputs[0].name].opt[0] for profile in self.profiles]
            batch = next((each for each in usual if smallest <= each <= largest), largest)
        if not smallest <= batch <= largest:
            raise UsageError("batch", received=batch, expected=f"{smallest} to {largest}")
        if inflight < 1:
            raise UsageError("inflight", received=inflight, expected="at least 1")
        return stream(self._new_session, self.inputs, self.outputs, self._order, smallest, items, batch, inflight)

    def time_launches(self, iterations: int) -> List[float]:
        """:meth:`ExecutionContext.time_launches` of the last call's context, with no call at the same time.

        Raises:
            EngineError: there was no call before, or the engine is closed.
        """
        context = self._pool.take()
        try:
            return context.time_launches(iterations)
        finally:
            self._pool.give(context)

    @property
    def context_bytes(self) -> int:
        """The device memory that each execution context takes for what is between inputs and outputs.

        Raises:
            EngineError: the engine is closed.
        """
        return self._open().device_memory_size

    def information(self) -> str:
        """What TensorRT's inspector says of the layers, as JSON, with the shapes of the first profile (opt).

        A context is made for it, and given back at once.

        Raises:
            DeviceError: the GPU has too little memory for another context.
            EngineError: the engine is closed.
        """
        return self._open().information()

    def close(self) -> None:
        """Gives all memory back; waits for calls in other threads, and for runs in flight. Safe to call twice.

        Closes the contexts that :meth:`context` made, too: a ticket whose result was not taken loses it.

        Raises:
            EngineError: another thread is in a call of such a context.
        """
        self._pool.close()
        for context in list(self._contexts):
            context.close()
        self._native = None

    def _call(self, args: Sequence[Any], named: Any) -> Any:
        if not args and not named:
            bind(self.inputs, args, named)  # a context would run on what is in its memory, but whose?
        context = self._pool.take()
        try:
            if self._options.split_batches:
                return self._call_in_parts(context, args, named)
            return context(*args, **named)
        finally:
            self._pool.give(context)

    def _call_in_parts(self, context: ExecutionContext, args: Sequence[Any], named: Any) -> Any:
        arrays = bind(self.inputs, args, named)
        sizes = [len(array) for array in arrays.values() if isinstance(array, np.ndarray) and array.shape]
        if self._limits is None or len(sizes) < len(arrays) or max(sizes, default=0) <= self._limits[1]:
            return context(arrays)
        return run_in_parts(context, arrays, self._limits, self.outputs)

    def _open(self) -> _native.Engine:
        if self._native is None:
            raise EngineError("the engine is closed", hint="load it again, or use it inside its `with` block")
        return self._native

    def _new_session(self) -> _native.Session:
        return _native.Session(self._open(), self._options.memory, self._options.graphs)

    def _new_context(self) -> ExecutionContext:
        session = self._new_session()
        return ExecutionContext(
            session, self.inputs, self.outputs, self._order, self._options.device, self._usual_shapes
        )

    def _usual_shapes(self) -> List[Shape]:
        if not self.profiles:
            return [spec.shape for spec in self.inputs]
        return [
            spec.shape if spec.name in self.shape_tensors else self.profiles[0][spec.name].opt for spec in self.inputs
        ]

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


class _Options:
    """How an engine runs."""

    def __init__(self, memory: str, contexts: int, split_batches: bool, device: int, graphs: bool) -> None:
        if memory not in ("auto", "copy", "mapped"):
            raise UsageError("memory", received=repr(memory), expected='"auto", "copy" or "mapped"')
        if contexts < 1:
            raise UsageError("contexts", received=contexts, expected="at least 1")
        self.memory, self.contexts, self.split_batches = memory, contexts, split_batches
        self.device, self.graphs = device, graphs


def _nvtx_range(name: str) -> Optional[Any]:
    """What marks a call for NVIDIA's profilers, where the package nvtx is installed."""
    if importlib.util.find_spec("nvtx") is None:
        return None
    import nvtx

    return partial(nvtx.annotate, f"tf2trt {name}", domain="tf2trt")


def _limits(
    native: _native.Engine, name: str, profile: int, shape_tensors: Set[str], sidecar: Optional[Sidecar]
) -> List[ShapeRange]:
    """What a profile says of an input. Of a shape tensor's values TensorRT 8 may say nothing: then the sidecar does."""
    if name not in shape_tensors:
        return [ShapeRange(*native.profile_shape(name, profile))]
    try:
        return [ShapeRange(*native.profile_values(name, profile))]
    except InputError:
        known = sidecar.profiles[profile] if sidecar and profile < len(sidecar.profiles) else {}
        return [known[name]] if name in known else []


def _specs(tensors: Any, *, is_input: bool) -> Iterator[TensorSpec]:
    for tensor in tensors:
        if tensor.is_input == is_input:
            yield TensorSpec(tensor.name, tensor.dtype, tuple(tensor.shape))
