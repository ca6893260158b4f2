"""What a CUDA driver answers where the fake one could be wrong: run with either, it must say the same.

``observe()`` gives a CUresult for each question. Where the fake is stricter on purpose (README of tests/cpp) nothing is
asked here.
"""

import ctypes
import threading
from ctypes import byref, c_size_t, c_uint64, c_void_p

EXPECTED = {
    "an allocation without a context": 201,
    "an allocation of no bytes": 1,
    "memory freed twice": 1,
    "waiting for a stream without a context": 0,
    "querying a stream without a context": 0,
    "waiting for an event without a context": 0,
    "the time between events without a context": 0,
    "the time between events never recorded": 400,
    "the time between events not to be timed": 400,
    "querying an event never recorded": 0,
    "waiting on a stream for an event never recorded": 0,
    "destroying an event whose stream has yet to come to it": 0,
    "asking after ordinary memory": 1,
    "the type of device memory": 2,
    "the type of pinned memory": 1,
    "the type of mapped memory, by its device address": 1,
    "waiting for a stream that captures": 900,
    "ending the capture after that": 901,
    "querying a stream that captures": 900,
    "allocating during a capture of this thread": 900,
    "ending the capture after the allocation": 901,
    "pinning memory during a capture of this thread": 900,
    "allocating during a capture of another thread": 0,
    "ending a capture from another thread": 908,
    "a capture that waits for work outside": 905,
    "a capture whose second stream is not joined": 904,
    "waiting in another thread for an event of a capture": 907,
    "launching a graph after its capture was destroyed": 0,
}


class _Driver:
    def __init__(self):
        self.library = ctypes.CDLL("libcuda.so.1")
        self.library.cuInit(0)
        self.context = c_void_p()
        assert self.library.cuDevicePrimaryCtxRetain(byref(self.context), 0) == 0
        assert self.library.cuCtxPushCurrent_v2(self.context) == 0

    def __getattr__(self, name):
        return getattr(self.library, name)

    def new(self, function, *arguments):
        handle = c_void_p()
        assert getattr(self.library, function)(byref(handle), *arguments) == 0
        return handle

    def elsewhere(self, function, *arguments):
        """Calls a function in a thread that has the context too."""
        result = []

        def call():
            self.library.cuCtxPushCurrent_v2(self.context)
            result.append(getattr(self.library, function)(*arguments))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return result[0]


def observe():
    cuda = _Driver()
    return {**_without_context(cuda), **_objects(cuda), **_captures(cuda)}


def _without_context(cuda):
    stream = cuda.new("cuStreamCreate", 1)
    start, stop = cuda.new("cuEventCreate", 0), cuda.new("cuEventCreate", 0)
    assert cuda.cuEventRecord(start, stream) == cuda.cuEventRecord(stop, stream) == 0
    cuda.cuCtxPopCurrent_v2(byref(c_void_p()))
    milliseconds = ctypes.c_float()
    seen = {
        "an allocation without a context": cuda.cuMemAlloc_v2(byref(c_void_p()), c_size_t(8)),
        "waiting for a stream without a context": cuda.cuStreamSynchronize(stream),
        "querying a stream without a context": cuda.cuStreamQuery(stream),
        "waiting for an event without a context": cuda.cuEventSynchronize(stop),
        "the time between events without a context": cuda.cuEventElapsedTime(byref(milliseconds), start, stop),
    }
    cuda.cuCtxPushCurrent_v2(cuda.context)
    return seen


def _objects(cuda):
    stream = cuda.new("cuStreamCreate", 1)
    event, other, untimed = cuda.new("cuEventCreate", 0), cuda.new("cuEventCreate", 0), cuda.new("cuEventCreate", 2)
    device, freed = cuda.new("cuMemAlloc_v2", c_size_t(8)), cuda.new("cuMemAlloc_v2", c_size_t(8))
    pinned, mapped = cuda.new("cuMemHostAlloc", c_size_t(8), 0), cuda.new("cuMemHostAlloc", c_size_t(8), 2)
    alias = cuda.new("cuMemHostGetDevicePointer_v2", mapped, 0)
    assert cuda.cuMemFree_v2(freed) == 0
    milliseconds, ordinary = ctypes.c_float(), ctypes.create_string_buffer(64)

    def memory_type(address):
        found = ctypes.c_uint()
        assert cuda.cuPointerGetAttribute(byref(found), 2, address) == 0
        return found.value

    seen = {
        "an allocation of no bytes": cuda.cuMemAlloc_v2(byref(c_void_p()), c_size_t(0)),
        "memory freed twice": cuda.cuMemFree_v2(freed),
        "the time between events never recorded": cuda.cuEventElapsedTime(byref(milliseconds), event, other),
        "querying an event never recorded": cuda.cuEventQuery(event),
        "waiting on a stream for an event never recorded": cuda.cuStreamWaitEvent(stream, event, 0),
        "asking after ordinary memory": cuda.cuPointerGetAttribute(
            byref(ctypes.c_uint()), 2, c_uint64(ctypes.addressof(ordinary))
        ),
        "the type of device memory": memory_type(device),
        "the type of pinned memory": memory_type(pinned),
        "the type of mapped memory, by its device address": memory_type(alias),
    }
    assert cuda.cuEventRecord(untimed, stream) == cuda.cuEventRecord(other, stream) == 0
    assert cuda.cuMemcpyHtoDAsync_v2(device, pinned, c_size_t(8), stream) == cuda.cuEventRecord(event, stream) == 0
    seen["destroying an event whose stream has yet to come to it"] = cuda.cuEventDestroy_v2(event)
    assert cuda.cuStreamSynchronize(stream) == 0
    seen["the time between events not to be timed"] = cuda.cuEventElapsedTime(byref(milliseconds), untimed, other)
    return seen


def _captures(cuda):
    stream, second = cuda.new("cuStreamCreate", 1), cuda.new("cuStreamCreate", 1)
    event, outside = cuda.new("cuEventCreate", 2), cuda.new("cuEventCreate", 2)
    device, pinned = cuda.new("cuMemAlloc_v2", c_size_t(8)), cuda.new("cuMemHostAlloc", c_size_t(8), 0)
    size, seen = c_size_t(8), {}

    def begin():
        assert cuda.cuStreamBeginCapture_v2(stream, 1) == 0
        assert cuda.cuMemcpyHtoDAsync_v2(device, pinned, size, stream) == 0

    def end(graph=None):
        return cuda.cuStreamEndCapture(stream, byref(c_void_p() if graph is None else graph))

    begin()
    seen["waiting for a stream that captures"] = cuda.cuStreamSynchronize(stream)
    seen["ending the capture after that"] = end()
    begin()
    seen["querying a stream that captures"] = cuda.cuStreamQuery(stream)
    end()
    begin()
    seen["allocating during a capture of this thread"] = cuda.cuMemAlloc_v2(byref(c_void_p()), size)
    seen["ending the capture after the allocation"] = end()
    begin()
    seen["pinning memory during a capture of this thread"] = cuda.cuMemHostAlloc(byref(c_void_p()), size, 0)
    end()
    begin()
    address = c_void_p()
    seen["allocating during a capture of another thread"] = cuda.elsewhere("cuMemAlloc_v2", byref(address), size)
    graph = c_void_p()
    assert end(graph) == 0
    launched = cuda.new("cuGraphInstantiateWithFlags", graph, c_uint64(0))
    assert cuda.cuGraphDestroy(graph) == 0
    seen["launching a graph after its capture was destroyed"] = cuda.cuGraphLaunch(launched, stream)
    assert cuda.cuStreamSynchronize(stream) == cuda.cuEventRecord(outside, second) == 0
    begin()
    seen["ending a capture from another thread"] = cuda.elsewhere("cuStreamEndCapture", stream, byref(c_void_p()))
    end()
    begin()
    seen["a capture that waits for work outside"] = cuda.cuStreamWaitEvent(stream, outside, 0)
    end()
    begin()
    assert cuda.cuEventRecord(event, stream) == cuda.cuStreamWaitEvent(second, event, 0) == 0
    assert cuda.cuMemcpyDtoHAsync_v2(pinned, device, size, second) == 0
    seen["a capture whose second stream is not joined"] = end()
    begin()
    assert cuda.cuEventRecord(event, stream) == 0
    seen["waiting in another thread for an event of a capture"] = cuda.elsewhere("cuEventSynchronize", event)
    end()
    return seen


if __name__ == "__main__":
    answers = observe()
    wrong = {name: (answers.get(name), EXPECTED[name]) for name in EXPECTED if answers.get(name) != EXPECTED[name]}
    assert not wrong, f"answered, expected: {wrong}"
    assert answers.keys() == EXPECTED.keys()
