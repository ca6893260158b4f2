// Copies of NumPy arrays, byte by byte.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tf2trt::bindings {

struct Copy {
  std::byte* to;
  void const* from;
  std::size_t size;  // bytes
};

// The data of a C-contiguous NumPy array of just this dtype object and shape; nullptr where `value` is anything else,
// another dtype object of the same meaning included.
void const* plain_data(pybind11::handle value, pybind11::dtype const& dtype, std::int64_t const* shape,
                       std::size_t rank);

// All of them; by two threads where they are many bytes and there are four cores. Needs no GIL.
void run_copies(std::vector<Copy> const& copies);

}  // namespace tf2trt::bindings
