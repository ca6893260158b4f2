#include "npy.hpp"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "tf2trt/error.hpp"

namespace tf2trt::npy {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr std::size_t kMagicSize = 6;
constexpr std::size_t kAlignment = 64;

struct Type {
  char const* descr;
  DType dtype;
};
constexpr Type kTypes[] = {{"<f4", DType::kFloat32}, {"<f2", DType::kFloat16}, {"|i1", DType::kInt8},
                           {"<i4", DType::kInt32},   {"|b1", DType::kBool},    {"|u1", DType::kUint8},
                           {"<i8", DType::kInt64}};

[[noreturn]] void refuse(std::string const& path, std::string const& received) {
  throw Error(ErrorKind::kInput, path + ": cannot be read as .npy",
              {received, "a little-endian, row-major array of a type that TensorRT has",
               "numpy.save(path, numpy.ascontiguousarray(x))"});
}

DType to_dtype(std::string const& path, std::string const& descr) {
  for (auto const& type : kTypes) {
    if (descr == type.descr) return type.dtype;
  }
  refuse(path, "type " + descr);
}

std::string descr_of(std::string const& path, DType dtype) {
  for (auto const& type : kTypes) {
    if (dtype == type.dtype) return type.descr;
  }
  throw Error(ErrorKind::kOutput, path + ": NumPy has no type " + name_of(dtype));
}

}  // namespace

HostTensor read(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) {
    throw Error(ErrorKind::kInput, path + ": no such file", {"", "an .npy file", ""});
  }
  std::string const bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (bytes.size() < 12 || bytes.compare(0, kMagicSize, kMagic) != 0) refuse(path, "a file that is no .npy file");
  bool const first_version = bytes[6] == 1;
  std::size_t const start = first_version ? 10 : 12;
  std::uint32_t header_size = 0;
  std::memcpy(&header_size, bytes.data() + 8, first_version ? 2 : 4);
  if (bytes.size() < start + header_size) refuse(path, "a truncated header");
  std::string const header = bytes.substr(start, header_size);

  std::smatch match;
  if (!std::regex_search(header, match, std::regex("'descr': *'([^']*)'"))) refuse(path, "a header without a type");
  HostTensor tensor;
  tensor.dtype = to_dtype(path, match[1]);
  if (std::regex_search(header, std::regex("'fortran_order': *True"))) refuse(path, "a column-major array");
  if (!std::regex_search(header, match, std::regex("'shape': *\\(([0-9, ]*)\\)"))) refuse(path, "no shape");
  std::string const extents = match[1];
  std::regex const number("[0-9]+");
  for (std::sregex_iterator i(extents.begin(), extents.end(), number), end; i != end; ++i) {
    std::string const text = i->str();
    std::int64_t extent = 0;
    auto const read = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (read.ec != std::errc{}) refuse(path, "an extent of " + text);
    tensor.shape.push_back(extent);
  }
  std::size_t expected = 0;
  try {
    expected = bytes_of(tensor.dtype, element_count(tensor.shape));
  } catch (Error const&) {
    refuse(path, "a shape of more elements than any memory holds");
  }
  std::size_t const offset = start + header_size;
  if (bytes.size() - offset != expected) {
    refuse(path,
           std::to_string(bytes.size() - offset) + " bytes of data where the shape needs " + std::to_string(expected));
  }
  tensor.data.resize(expected);
  if (expected > 0) std::memcpy(tensor.data.data(), bytes.data() + offset, expected);
  return tensor;
}

void write(std::string const& path, HostTensor const& tensor) {
  std::string header = "{'descr': '" + descr_of(path, tensor.dtype) + "', 'fortran_order': False, 'shape': (";
  for (auto const extent : tensor.shape) header += std::to_string(extent) + ",";
  header += "), }";
  constexpr std::size_t kPrefix = 10;
  std::size_t const total = (kPrefix + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.append(total - kPrefix - header.size() - 1, ' ');
  header += '\n';
  auto const size = static_cast<std::uint16_t>(header.size());

  std::string const temporary = path + ".tmp";
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(kMagic, kMagicSize);
    file.put(1).put(0);
    file.put(static_cast<char>(size & 0xFFU)).put(static_cast<char>(size >> 8U));
    file << header;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes to characters
    file.write(reinterpret_cast<char const*>(tensor.data.data()), static_cast<std::streamsize>(tensor.data.size()));
    if (!file.flush()) {
      std::remove(temporary.c_str());
      throw Error(ErrorKind::kOutput, path + ": cannot be written");
    }
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) {
    std::remove(temporary.c_str());
    throw Error(ErrorKind::kOutput, path + ": cannot be written: " + error.message());
  }
}

}  // namespace tf2trt::npy
