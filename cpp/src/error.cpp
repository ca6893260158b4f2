#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

std::string compose(std::string const& what, ErrorDetail const& detail) {
  std::string text = what;
  auto add = [&text](char const* label, std::string const& value) {
    if (!value.empty()) {
      text += "\n  ";
      text += label;
      text += ": ";
      text += value;
    }
  };
  add("received", detail.received);
  add("expected", detail.expected);
  add("hint", detail.hint);
  return text;
}

}  // namespace

char const* error_class(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::kUsage:
      return "UsageError";
    case ErrorKind::kInput:
      return "InputError";
    case ErrorKind::kLibrary:
      return "LibraryError";
    case ErrorKind::kLibraryNotFound:
      return "LibraryNotFoundError";
    case ErrorKind::kUnsupportedVersion:
      return "UnsupportedVersionError";
    case ErrorKind::kDevice:
      return "DeviceError";
    case ErrorKind::kOnnx:
      return "OnnxError";
    case ErrorKind::kPlugin:
      return "PluginError";
    case ErrorKind::kBuild:
      return "BuildError";
    case ErrorKind::kEngine:
      return "EngineError";
    case ErrorKind::kEngineVersion:
      return "EngineVersionError";
    case ErrorKind::kEngineDevice:
      return "EngineDeviceError";
    case ErrorKind::kOutput:
      return "OutputError";
  }
  return "Tf2TrtError";
}

Error::Error(ErrorKind kind, std::string const& what, ErrorDetail const& detail)
    : std::runtime_error(compose(what, detail)), kind_(kind) {}

}  // namespace tf2trt
