// .npy files as NumPy lays them out, byte by byte.
#pragma once

#include <string>

#include "tf2trt/session.hpp"

namespace tf2trt::test {

// "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
inline std::string npy_dict(std::string const& descr, std::string const& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
}

// Magic, version, size of the header (2 bytes in version 1, 4 later), the header padded to 64 bytes, data.
inline std::string npy_file(std::string header, std::string const& data, int version = 1) {
  constexpr std::size_t kAlignment = 64;
  std::size_t const size_bytes = version == 1 ? 2 : 4;
  std::size_t const before = 8 + size_bytes;
  while ((before + header.size() + 1) % kAlignment != 0) header += ' ';
  header += '\n';
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  for (std::size_t i = 0; i < size_bytes; ++i) file += static_cast<char>((header.size() >> (8 * i)) & 0xFFU);
  return file + header + data;
}

inline std::string text_of(HostTensor const& tensor) {
  std::string text;
  for (auto const byte : tensor.data) text += static_cast<char>(byte);
  return text;
}

}  // namespace tf2trt::test
