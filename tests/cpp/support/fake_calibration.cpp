// How the fake TensorRT that builds uses a calibrator.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "support/fake_builder.hpp"

namespace fake_tensorrt {
namespace {

// nvinfer1::InterfaceInfo.
struct Info {
  char const* kind;
  std::int32_t major;
  std::int32_t minor;
};

int slot(char const* method) { return slot_of(std::string("IInt8Calibrator_") + method); }
int legacy_slot(char const* method) { return slot_of(std::string("IInt8LegacyCalibrator_") + method); }

// Function of the fake driver, which must be there.
template <class F>
F driver(char const* name) {
  static void* const handle = dlopen("libcuda.so.1", RTLD_LAZY);
  void* const found = handle == nullptr ? nullptr : dlsym(handle, name);
  if (found == nullptr) {
    std::fprintf(stderr, "fake TensorRT: libcuda.so.1 is not the fake one: it has no %s\n", name);
    std::abort();
  }
  return reinterpret_cast<F>(found);
}

std::string bytes_at(void* address, std::size_t size) {
  auto const storage = driver<void* (*)(unsigned long long, std::size_t)>("fake_cuda_storage");
  auto const* bytes = static_cast<char const*>(storage(reinterpret_cast<unsigned long long>(address), size));
  return bytes == nullptr ? "not on the device" : std::string(bytes, bytes + size);
}

// One batch; false at the end.
bool read_batch(void* calibrator, std::vector<std::string> const& names) {
  note("getBatch");
  std::vector<void*> bindings(names.size());
  std::vector<char const*> texts(names.size());
  std::transform(names.begin(), names.end(), texts.begin(), [](auto const& name) { return name.c_str(); });
  if (!call<bool, void**, char const**, std::int32_t>(calibrator, slot("getBatch"), bindings.data(), texts.data(),
                                                      static_cast<std::int32_t>(names.size()))) {
    return false;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    script().data[names[i]].push_back(bytes_at(bindings[i], script().bytes[names[i]]));
  }
  return true;
}

void ask_for_itself(void* calibrator) {
  auto& seen = script();
  if (slot("getInterfaceInfo") >= 0) seen.kind = call<Info>(calibrator, slot("getInterfaceInfo")).kind;
  seen.algorithm = call<std::int32_t>(calibrator, slot("getAlgorithm"));
  seen.batch_size = call<std::int32_t>(calibrator, slot("getBatchSize"));
  if (seen.algorithm != value_of("CalibrationAlgoType_kLEGACY_CALIBRATION")) return;
  seen.quantile = call<double>(calibrator, legacy_slot("getQuantile"));
  seen.cutoff = call<double>(calibrator, legacy_slot("getRegressionCutoff"));
  std::size_t size = 1;
  if (call<void const*, std::size_t*>(calibrator, legacy_slot("readHistogramCache"), &size) != nullptr || size != 0) {
    note("a histogram");
  }
  call<void, void const*, std::size_t>(calibrator, legacy_slot("writeHistogramCache"), "histogram", 9);
}

}  // namespace

bool calibrate(void* calibrator, std::vector<std::string> const& names) {
  ask_for_itself(calibrator);
  std::size_t size = 0;
  void const* cache = call<void const*, std::size_t*>(calibrator, slot("readCalibrationCache"), &size);
  script().cache.assign(static_cast<char const*>(cache), cache == nullptr ? 0 : size);
  if (cache != nullptr && script().takes_cache) return true;
  int batches = 0;
  for (int pass = 0; pass < script().passes; ++pass) {
    while (batches < script().batches_wanted && read_batch(calibrator, names)) ++batches;
  }
  if (batches == 0) return false;
  auto const& written = script().written;
  call<void, void const*, std::size_t>(calibrator, slot("writeCalibrationCache"), written.data(), written.size());
  return true;
}

}  // namespace fake_tensorrt
