// NumPy's .npy files, format version 1.0 to 3.0, little-endian and row-major.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>

#include "tf2trt/session.hpp"

namespace tf2trt::npy {

// Throws Error(kInput) where the file is missing, truncated, big-endian, column-major or of a type without a DType.
HostTensor read(std::string const& path);
// Writes to a temporary name and renames. Throws Error(kOutput).
void write(std::string const& path, HostTensor const& tensor);

}  // namespace tf2trt::npy
