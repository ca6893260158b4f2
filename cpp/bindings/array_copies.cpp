#include "array_copies.hpp"

#include <algorithm>
#include <thread>

#include "tf2trt/buffer.hpp"

namespace tf2trt::bindings {

namespace py = pybind11;

void const* plain_data(py::handle value, py::dtype const& dtype, std::int64_t const* shape, std::size_t rank) {
  if (!py::isinstance<py::array>(value)) return nullptr;
  auto const* array = py::detail::array_proxy(value.ptr());
  if (array->descr != dtype.ptr() || static_cast<std::size_t>(array->nd) != rank) return nullptr;
  if (!py::detail::check_flags(value.ptr(), py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_)) return nullptr;
  for (std::size_t k = 0; k < rank; ++k) {
    if (array->dimensions[k] != shape[k]) return nullptr;
  }
  return array->data;
}

void run_copies(std::vector<Copy> const& copies) {
  // One core copies some 10 GB/s, less than a GPU's appetite; the work of a MiB is several times a thread's start.
  constexpr std::size_t kWorthAThread = 1U << 20U;
  auto const part = [&copies](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) copy_for_device(copies[i].to, copies[i].from, copies[i].size);
  };
  std::size_t total = 0;
  for (auto const& copy : copies) total += copy.size;
  bool const shared = total >= kWorthAThread && copies.size() > 1 && std::thread::hardware_concurrency() >= 4;
  std::size_t const half = shared ? copies.size() / 2 : 0;
  std::thread other;
  if (shared) other = std::thread(part, 0, half);
  part(half, copies.size());
  if (shared) other.join();
}

}  // namespace tf2trt::bindings
