// DLPack's structures as the specification lays them out (https://dmlc.github.io/dlpack/latest/c_api.html). A capsule
// named "dltensor" points to a Managed (0.x, without a version), one named "dltensor_versioned" to a ManagedVersioned
// (1.x). Minor versions only add values, so that any 1.x can be read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tf2trt::dlpack {

constexpr std::uint32_t kMajor = 1;
constexpr std::uint32_t kMinor = 0;  // nothing newer is used in what we hand out

struct Device {
  std::int32_t type;  // 1 CPU, 2 CUDA, 3 pinned host memory, 13 CUDA managed memory
  std::int32_t id;
};

struct DataType {
  std::uint8_t code;  // a Code
  std::uint8_t bits;
  std::uint16_t lanes;  // 1, or the elements of a vector type
};

enum class Code : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6 };

struct Tensor {
  void* data;  // null where there are no elements
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null, in 0.x and 1.0 to 1.1, for row-major memory without gaps
  std::uint64_t byte_offset;
};

struct Managed {
  Tensor tensor;
  void* context;                   // the producer's own
  void (*deleter)(Managed* self);  // may be null
};

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

struct ManagedVersioned {
  Version version;  // where `major` is not ours, only what stands before `tensor` may be read
  void* context;
  void (*deleter)(ManagedVersioned* self);
  std::uint64_t flags;  // bit 0: read-only; bit 1: a copy made for the consumer
  Tensor tensor;
};

static_assert(sizeof(void*) == 8, "the offsets below are those of 64-bit machines");
static_assert(sizeof(DataType) == 4 && sizeof(Tensor) == 48 && offsetof(Tensor, byte_offset) == 40);
static_assert(sizeof(Managed) == 64 && offsetof(Managed, deleter) == 56);
static_assert(sizeof(ManagedVersioned) == 80 && offsetof(ManagedVersioned, tensor) == 32);

}  // namespace tf2trt::dlpack
