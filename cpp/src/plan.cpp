#include "tf2trt/plan.hpp"

#include <cstdint>
#include <cstring>

#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

constexpr std::size_t kHeaderSize = 28;
constexpr std::size_t kSizeOffset = 16;
constexpr std::size_t kVersionOffset = 24;
constexpr char const* kTag = "ftrt";
constexpr char const* kCompatibleTag = "vtrt";

}  // namespace

std::string PlanHeader::version_text() const {
  return std::to_string(version[0]) + "." + std::to_string(version[1]) + "." + std::to_string(version[2]);
}

PlanHeader read_plan_header(void const* data, std::size_t size, std::string const& name) {
  if (data == nullptr || size < kHeaderSize) {
    throw Error(ErrorKind::kEngine, name + ": too short to be a TensorRT plan",
                {std::to_string(size) + " bytes", "at least " + std::to_string(kHeaderSize) + " bytes",
                 "the file is truncated: build it again"});
  }
  if (std::memcmp(data, kTag, 4) != 0 && std::memcmp(data, kCompatibleTag, 4) != 0) {
    throw Error(ErrorKind::kEngine, name + ": not a TensorRT plan",
                {R"(a file that starts with neither "ftrt" nor "vtrt")",
                 "a plan as written by tf2trt build or trtexec --saveEngine",
                 "an .onnx file has to be built first: tf2trt build m.onnx -o m.engine"});
  }
  auto const* bytes = static_cast<unsigned char const*>(data);
  std::int32_t serialization = 0;
  std::memcpy(&serialization, bytes + 4, sizeof serialization);
  std::uint64_t written = 0;
  std::memcpy(&written, bytes + kSizeOffset, sizeof written);
  if (size < written) {
    throw Error(ErrorKind::kEngine, name + ": the plan is truncated",
                {std::to_string(size) + " bytes", std::to_string(written) + " bytes, as its header says",
                 "copy the whole file, or build it again"});
  }
  auto const* version = bytes + kVersionOffset;
  return {{version[0], version[1], version[2], version[3]}, serialization};
}

}  // namespace tf2trt
