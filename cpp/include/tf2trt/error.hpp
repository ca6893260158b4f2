// What tf2trt throws. Python raises the class of the same name from tf2trt.errors.
#pragma once

#include <stdexcept>
#include <string>

namespace tf2trt {

enum class ErrorKind {
  kUsage,               // an argument that cannot work
  kInput,               // an input name, shape or dtype that the engine does not take
  kLibrary,             // TensorRT's library cannot be used
  kLibraryNotFound,     // no usable TensorRT library on this machine
  kUnsupportedVersion,  // a TensorRT that tf2trt has no tables for
  kDevice,              // no driver, no GPU, or a CUDA call that failed
  kOnnx,                // the ONNX file: missing, truncated, unknown operator
  kPlugin,              // a plugin library: missing, not to be loaded, or refused by TensorRT
  kBuild,               // TensorRT refused to build
  kEngine,              // the plan: missing, truncated, damaged
  kEngineVersion,       // the plan was written by a TensorRT that this one cannot read
  kEngineDevice,        // the plan was built for another GPU
  kOutput,              // a result cannot be written
};

// The name of the Python class, such as "EngineVersionError".
char const* error_class(ErrorKind kind) noexcept;

// Further lines of a message; empty ones are left out.
struct ErrorDetail {
  std::string received;
  std::string expected;
  std::string hint;
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string const& what, ErrorDetail const& detail = {});
  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace tf2trt
