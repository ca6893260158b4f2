"""DLPack's structures once more, independent of the C++, and producers of arrays for the tests."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import numpy as np
import pytest

from tf2trt import _native

CPU, CUDA, PINNED, MANAGED, ROCM = 1, 2, 3, 13, 10
OURS = 0x5000  # a stream's handle
NUMPY_IS_VERSIONED = tuple(map(int, np.__version__.split(".")[:2])) >= (2, 1)
VERSIONS = [False, pytest.param(True, marks=pytest.mark.skipif(not NUMPY_IS_VERSIONED, reason="NumPy before 2.1"))]
DTYPES = ["float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
          "bool", "complex64", "complex128"]  # fmt: skip


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8),
        ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]  # fmt: skip


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", c_void_p), ("deleter", c_void_p)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", c_void_p), ("flags", c_uint64),
        ("tensor", Tensor),
    ]  # fmt: skip


_PRODUCERS = []  # their memory and their deleters have to outlive every view, also those in a traceback's cycle
DELETER = ctypes.CFUNCTYPE(None, c_void_p)  # releases the GIL around the call
NAMES = {Managed: b"dltensor", Versioned: b"dltensor_versioned"}  # a capsule does not copy its name
FOREIGN = b"something_else"
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [c_void_p, c_char_p, c_void_p]
capsule_name = ctypes.pythonapi.PyCapsule_GetName
capsule_name.restype, capsule_name.argtypes = c_char_p, [ctypes.py_object]
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype, capsule_pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
rename = ctypes.pythonapi.PyCapsule_SetName
rename.argtypes = [ctypes.py_object, c_char_p]


class HandMade:
    """A capsule of any content; ``deleted`` counts the deleter's calls."""

    def __init__(self, kind=Versioned, shape=(2, 3), strides=None, version=(1, 0), device=(CUDA, 0), **fields):
        self.deleted = 0
        self._deleter = DELETER(self._delete)
        self._arrays = [None if sizes is None else (c_int64 * len(sizes))(*sizes) for sizes in (shape, strides)]
        _PRODUCERS.append(self)
        self._managed = kind(deleter=ctypes.cast(self._deleter, c_void_p))
        if kind is Versioned:
            self._managed.major, self._managed.minor = version
        values = {"data": 0x1000, "ndim": len(shape or ()), "code": 2, "bits": 32, "lanes": 1, **fields}
        values["device_type"], values["device_id"] = device
        for name, value in values.items():
            setattr(self._managed.tensor, name, value)
        for name, array in zip(("shape", "strides"), self._arrays):
            if array is not None:
                setattr(self._managed.tensor, name, ctypes.cast(array, POINTER(c_int64)))
        self.capsule = new_capsule(ctypes.addressof(self._managed), NAMES[kind], None)

    def _delete(self, _address):
        self.deleted += 1


def structure(capsule, kind):
    return kind.from_address(capsule_pointer(capsule, NAMES[kind]))


def export(array, versioned=False, device=CPU):
    """A capsule of ours over an array's memory."""
    shape, dtype = array.shape, array.dtype.name
    return _native.dlpack_capsule(array.ctypes.data, shape, dtype, device, 0, array, versioned=versioned)


class Producer:
    """A library's array with DLPack's two methods; ``asked`` holds what __dlpack__ was called with."""

    def __init__(self, capsule, device=(CPU, 0), error=None):
        self.capsule, self.device, self.error, self.asked = capsule, device, error, []

    def __dlpack__(self, **options):
        self.asked.append(options)
        if self.error is not None:
            raise self.error
        return self.capsule

    def __dlpack_device__(self):
        return self.device


class Old(Producer):
    """From before DLPack 1.0."""

    def __dlpack__(self, stream=None):
        return super().__dlpack__(stream=stream)


class Interface:
    """An array that has the CUDA array interface only."""

    def __init__(self, **entries):
        entries = {"shape": (2, 3), "typestr": "<f4", "data": (0x1000, False), "version": 3, **entries}
        self.__cuda_array_interface__ = {name: value for name, value in entries.items() if value != "absent"}
