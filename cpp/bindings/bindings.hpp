// The parts of the module tf2trt._native.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "tf2trt/tensor.hpp"

namespace tf2trt::bindings {

namespace py = pybind11;
using ReleaseGil = py::call_guard<py::gil_scoped_release>;

void bind_builder(py::module_& module);
void bind_engine(py::module_& module);
void bind_dlpack(py::module_& module);
void bind_session(py::module_& module);

inline py::tuple to_tuple(Shape const& shape) {
  py::tuple result(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) result[i] = shape[i];
  return result;
}

// A contiguous view of an object that supports the buffer protocol, held while it lives.
class Bytes {
 public:
  explicit Bytes(py::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  }
  ~Bytes() { PyBuffer_Release(&view_); }
  Bytes(Bytes const&) = delete;
  Bytes& operator=(Bytes const&) = delete;
  Bytes(Bytes&&) = delete;
  Bytes& operator=(Bytes&&) = delete;
  [[nodiscard]] void const* data() const noexcept { return view_.buf; }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
};

}  // namespace tf2trt::bindings
