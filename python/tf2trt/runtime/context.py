"""Runs one engine: buffers, copies, and the choice between an enqueue and a CUDA graph."""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from tf2trt import _native
from tf2trt.errors import EngineError, Tf2TrtError
from tf2trt.runtime.checks import Profile, choose_profile, numpy_dtype
from tf2trt.runtime.device import Buffer, PrimaryContext
from tf2trt.specs import Shape, TensorSpec

__all__ = ["ExecutionContext"]

_log = logging.getLogger(__name__)


class ExecutionContext:
    """One native execution context with a stream, and pinned and device memory for each tensor.

    The first run of a shape is a plain enqueue, which TensorRT needs before it can be captured. The second captures a
    CUDA graph, and from then on the graph is replayed until the shape changes: models whose shape changes with each
    call never pay for a capture. The graph holds the enqueue only; copies go to fixed addresses around it.

    Not safe for use from two threads at once; :class:`~tf2trt.runtime.Engine` takes care of that.
    """

    def __init__(
        self,
        native: _native.Engine,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        profiles: Sequence[Profile],
        device: PrimaryContext,
    ) -> None:
        self._inputs, self._outputs, self._profiles = tuple(inputs), tuple(outputs), tuple(profiles)
        self._device = device
        self._buffers: Dict[str, Buffer] = {}
        self._addresses: Dict[str, int] = {}
        self._profile = 0
        self._shapes: Optional[Dict[str, Shape]] = None  # of all tensors in the last run; None before and after errors
        self._output_shapes: Dict[str, Shape] = {}
        self._enqueued = False
        self._graph: Optional[_native.Graph] = None
        self._graphs = True
        with device:
            self._native: Optional[_native.ExecutionContext] = native.create_context()
            self._stream = device.driver.Stream()
            for spec in (*self._inputs, *self._outputs):
                self._buffers[spec.name] = Buffer(device.driver)

    def run(self, arrays: Mapping[str, Any]) -> Dict[str, Any]:
        """Runs once on checked arrays, waits, and returns fresh arrays by output name.

        Raises:
            InputError: no profile takes the shapes, or NumPy lacks an output's dtype.
            DeviceError: a CUDA call failed.
            EngineError: an output's shape depends on the data, or the context is closed.
        """
        self._open()
        dtypes = {spec.name: numpy_dtype(spec) for spec in (*self._inputs, *self._outputs)}
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        profile = choose_profile(self._profiles, shapes, self._profile) if self._profiles else 0
        with self._device:
            if shapes != self._shapes or profile != self._profile:
                self._prepare(shapes, profile, dtypes)
            try:
                for name, array in arrays.items():
                    buffer = self._buffers[name]
                    np.copyto(buffer.host(array.shape, array.dtype), array)  # takes any strides
                    buffer.upload(array.nbytes, self._stream)
                self._launch()
                for name, shape in self._output_shapes.items():
                    size = int(np.prod(shape, dtype=np.int64)) * dtypes[name].itemsize
                    self._buffers[name].download(size, self._stream)
            finally:
                self._stream.synchronize()  # also after an error: the next run must not meet copies in flight
            return {
                name: self._buffers[name].host(shape, dtypes[name]).copy()
                for name, shape in self._output_shapes.items()
            }

    def time_launches(self, iterations: int) -> List[float]:
        """Milliseconds on the GPU for each of ``iterations`` launches of the last run's shapes, on its inputs.

        Raises:
            EngineError: nothing was run before, or the context is closed.
        """
        self._open()
        if self._shapes is None:
            raise EngineError("nothing to time", received="no call before", hint="call the engine once first")
        times = []
        with self._device:
            start, stop = self._device.driver.Event(), self._device.driver.Event()
            for _ in range(iterations):
                start.record(self._stream)
                self._launch()
                stop.record(self._stream)
                stop.synchronize()
                times.append(float(start.time_till(stop)))
        return times

    def close(self) -> None:
        """Gives the native context, the graph, the stream and all memory back. Safe to call twice."""
        if self._native is None:
            return
        with self._device:
            self._graph = None
            self._native = None
            for buffer in self._buffers.values():
                buffer.free()
            self._stream = None

    def _prepare(self, shapes: Dict[str, Shape], profile: int, dtypes: Mapping[str, Any]) -> None:
        """Sets shapes, reserves memory and sets the addresses that changed."""
        native = self._open()
        self._shapes, self._graph, self._enqueued = None, None, False
        if profile != self._profile:
            native.set_profile(profile, self._stream.handle)
            self._stream.synchronize()
            self._profile = profile
        for name, shape in shapes.items():
            native.set_input_shape(name, shape)
        unresolved = native.unresolved_inputs()
        if unresolved:
            raise EngineError("TensorRT wants more than the inputs' shapes", received=", ".join(unresolved))
        self._output_shapes = {spec.name: native.tensor_shape(spec.name) for spec in self._outputs}
        for name, shape in {**shapes, **self._output_shapes}.items():
            if any(extent < 0 for extent in shape):
                raise EngineError(
                    f"the shape of output {name!r} depends on the data",
                    received=shape,
                    hint="such outputs are not supported: end the model before the operator that makes them",
                )
            buffer = self._buffers[name]
            buffer.reserve(int(np.prod(shape, dtype=np.int64)) * dtypes[name].itemsize)
            if self._addresses.get(name) != buffer.address:
                native.set_tensor_address(name, buffer.address)
                self._addresses[name] = buffer.address
        self._shapes = shapes

    def _launch(self) -> None:
        native, stream = self._open(), self._stream.handle
        if self._graph is None and self._enqueued and self._graphs:
            try:
                self._graph = native.capture(stream)
            except Tf2TrtError as error:
                self._graphs = False  # what one shape cannot do the next will not either: said once, not every call
                _log.warning("no CUDA graph for this engine, running it without: %s", error)
        if self._graph is not None:
            self._graph.launch(stream)
        else:
            native.enqueue(stream)
            self._enqueued = True

    def _open(self) -> _native.ExecutionContext:
        if self._native is None:
            raise EngineError("the engine is closed", hint="load it again, or call it inside its `with` block")
        return self._native
