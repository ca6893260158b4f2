"""Runs one engine, one call at a time, on a stream and memory of its own."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from tf2trt import _native
from tf2trt.errors import EngineError, InputError
from tf2trt.runtime.arrays import DeviceArray, device_view
from tf2trt.runtime.checks import bind, check_arrays, check_device_input, check_results
from tf2trt.runtime.ticket import Ticket
from tf2trt.specs import Shape, TensorSpec

if TYPE_CHECKING:
    from tf2trt.runtime.checks import Results

__all__ = ["ExecutionContext"]


class ExecutionContext:
    """An engine's execution context with a stream, and pinned and device memory for each tensor::

        with engine.context() as context:
            y = context(x)                              # arrays in, a fresh array out
            context.host["x"][...] = frame              # or without the copies between your arrays and pinned memory
            y = context.run(results="view")
            ticket = context.run_async(x)               # or without waiting
            y = ticket.result()

    Memory is allocated once for each shape and only grows. The first run of a shape is a plain enqueue, the second is
    captured as a CUDA graph with its copies, which is replayed until a shape or an address changes. One thread at a
    time: a call during another one, or before a ticket's result was taken, raises EngineError and disturbs nothing.
    """

    def __init__(
        self,
        native: _native.Session,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        order: Sequence[str],
        device: int,
        defaults: Callable[[], List[Shape]],
    ) -> None:
        """Use :meth:`tf2trt.runtime.Engine.context`."""
        self._native = native
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._names = tuple(spec.name for spec in self._outputs)
        self._places = {name: place for place, name in enumerate(order)}
        self._device = device
        self._defaults = defaults
        self._shaped = False
        self._held: List[object] = []  # whose device memory the run in flight reads

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        """:meth:`run` with fresh arrays as results."""
        found = self._native.call(args, named)
        return self.run(*args, **named) if found is None else self._as_result(found)

    def run(self, /, *args: Any, results: Results = "copy", **named: Any) -> Any:
        """Runs the engine once and waits for it.

        Inputs are given by position in the engine's order, by name, or as one mapping from name to array. Each is a
        NumPy array of the engine's dtype, or an array in the memory of the engine's GPU (anything with
        ``__dlpack__`` or ``__cuda_array_interface__``: PyTorch, CuPy, JAX, pycuda), which is read where it lies.
        Without any, the engine runs on what is in :attr:`host`.

        Args:
            results: ``"copy"``: fresh NumPy arrays. ``"view"``: views of the pinned memory, which the next run
                overwrites. ``"device"``: :class:`DeviceArray` views of the device memory, which the next run
                overwrites; nothing is copied to the host.

        Returns:
            the only output, or a dict of outputs by name where there are several.

        Raises:
            InputError: a name, type, dtype or shape that the engine does not take.
            DeviceError: a CUDA call failed, or memory is missing.
            EngineError: the context is closed, or in use.
        """
        check_results(results)
        self._native.acquire()
        try:
            self._launch(args, named, results != "device")
            self._native.wait()
            return self._results(results)
        finally:
            self._held.clear()
            self._native.release()

    def run_async(self, /, *args: Any, results: Results = "copy", **named: Any) -> Ticket:
        """Starts a run and returns at once; host arrays are copied into pinned memory before that.

        The ticket's ``result()`` waits and gives what :meth:`run` would have. Two contexts overlap their copies and
        their work on the GPU.

        Raises:
            InputError, DeviceError, EngineError: as for :meth:`run`.
        """
        check_results(results)
        if results == "device" or not self._native.start(args, named):
            self._native.acquire()
            try:
                self._launch(args, named, results != "device")
            except BaseException:
                self._held.clear()
                self._native.release()
                raise
            self._native.leave_pending()
        return Ticket(self._native, lambda: self._finish(results))

    @property
    def host(self) -> Mapping[str, Any]:
        """Each tensor's pinned memory as a NumPy array of its present shape: fill the inputs, read the outputs."""
        self._with_shapes()
        return _Tensors(self._places, self._native.host)

    @property
    def device(self) -> Mapping[str, DeviceArray]:
        """Each tensor's device memory, to be handed to PyTorch, CuPy, JAX or pycuda without a copy."""
        self._with_shapes()
        return _Tensors(self._places, self._device_array)

    def set_shapes(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Sets the inputs' shapes before their arrays are there, for :attr:`host` and :attr:`device`.

        Raises:
            InputError: an input is missing or unknown, or no profile takes the shapes.
            DeviceError: memory is missing.
            EngineError: the context is closed, or in use.
        """
        given = bind(self._inputs, (dict(shapes),), {})
        self._native.acquire()
        try:
            self._set_shapes([tuple(shape) for shape in given.values()])
        finally:
            self._native.release()

    @property
    def stream(self) -> int:
        """The handle of the context's stream (``cudaStream_t``)."""
        return self._native.stream

    @property
    def graph_problem(self) -> str:
        """Why this engine runs without a CUDA graph; "" where nothing speaks against one."""
        return self._native.graph_problem

    def profile(self) -> List[Tuple[str, float]]:
        """Runs once more on the last run's inputs; each layer's name and milliseconds, in the engine's order.

        Raises:
            EngineError: there was no run before, or the context is closed or in use.
        """
        self._native.acquire()
        try:
            return self._native.profile_layers()
        finally:
            self._native.release()

    def time_launches(self, iterations: int, *, ahead: int = 0) -> List[float]:
        """Milliseconds that the GPU takes for the last run's work, launched ``iterations`` times without any copy.

        CUDA events stand around each launch. Up to ``ahead`` launches are queued while one runs, which hides what the
        host does for each; with 0 each is waited for before the next.

        Raises:
            EngineError: there was no run before, or the context is closed or in use.
        """
        self._native.acquire()
        try:
            return self._native.time_launches(iterations, ahead)
        finally:
            self._native.release()

    def close(self) -> None:
        """Waits for work in flight and gives all memory back; a ticket whose result was not taken loses it.

        Safe to call twice. Arrays from :attr:`host` and :attr:`device` keep their memory for as long as they live.

        Raises:
            EngineError: another thread is in a call.
        """
        self._native.close()
        self._held.clear()

    def __enter__(self) -> ExecutionContext:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _launch(self, args: Sequence[Any], named: Mapping[str, Any], download: bool) -> None:
        """Takes the arguments of a call, slowly and with every check, and launches."""
        if not args and not named and self._inputs:
            if not self._shaped:
                self._set_shapes(self._defaults())
        else:
            self._take(bind(self._inputs, args, named))
        self._native.launch(download)

    def _take(self, given: Mapping[str, Any]) -> None:
        views = {name: device_view(value, self._native.stream, f"input {name!r}") for name, value in given.items()}
        on_device = {name: view for name, view in views.items() if view is not None}
        check_arrays([spec for spec in self._inputs if spec.name not in on_device], given)
        for spec in self._inputs:
            if spec.name in on_device:
                check_device_input(spec, on_device[spec.name], self._device)
        self._held = [view.owner for view in on_device.values()]
        for name in given:
            view = on_device.get(name)
            self._native.set_device_input(self._places[name], view.address if view else 0)
        self._set_shapes([tuple((on_device.get(name) or value).shape) for name, value in given.items()])
        for name, value in given.items():
            if name not in on_device:
                np.copyto(self._native.host(self._places[name]), value)  # takes any strides

    def _set_shapes(self, shapes: List[Shape]) -> None:
        self._shaped = False
        self._native.set_shapes(shapes)
        self._shaped = True

    def _with_shapes(self) -> None:
        if not self._shaped:
            self._native.acquire()
            try:
                self._set_shapes(self._defaults())
            finally:
                self._native.release()

    def _finish(self, results: Results) -> Any:
        try:
            self._native.wait()
            return self._results(results)
        finally:
            self._held.clear()

    def _results(self, results: Results) -> Any:
        if results == "device":
            return self._as_result([self._device_array(self._places[name]) for name in self._names])
        return self._as_result(self._native.results(results == "copy"))

    def _as_result(self, found: Sequence[Any]) -> Any:
        return found[0] if len(self._names) == 1 else dict(zip(self._names, found))

    def _device_array(self, place: int) -> DeviceArray:
        address, shape, dtype, owner = self._native.device(place)
        if not address:
            raise EngineError("the values of a shape tensor lie on the host alone", hint='use context.host["NAME"]')
        return DeviceArray(
            address,
            shape,
            dtype,
            owner=owner,
            wait=_native.stream_wait,
            stream=self._native.stream,
            device=self._device,
        )


class _Tensors(Mapping[str, Any]):
    """Tensors by name, each made when it is asked for."""

    def __init__(self, places: Mapping[str, int], get: Callable[[int], Any]) -> None:
        self._places, self._get = places, get

    def __getitem__(self, name: str) -> Any:
        if name not in self._places:
            raise InputError(f"the engine has no tensor {name!r}", expected=", ".join(self._places))
        return self._get(self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        tensors: Dict[str, Any] = {name: self._get(place) for name, place in self._places.items()}
        return repr(tensors)
