// Calls the classes of cpp/abi/calibrators.hpp through NVIDIA's interfaces, for drive.cpp. 11 has no such interfaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <type_traits>

#include "NvInfer.h"
#include "abi/calibrators.hpp"
#include "count.hpp"

// Found only where NVIDIA's namespace has no such name.
class IInt8EntropyCalibrator2;
class IInt8MinMaxCalibrator;
class IInt8LegacyCalibrator;
namespace nvinfer1 {
using EntropyCalibratorOrNothing = IInt8EntropyCalibrator2;
using MinMaxCalibratorOrNothing = IInt8MinMaxCalibrator;
using LegacyCalibratorOrNothing = IInt8LegacyCalibrator;
}  // namespace nvinfer1

namespace drive {

struct CalibratorSeen final : tf2trt::abi::CalibratorSink {
  char const* what = "";
  void** bindings = nullptr;
  char const* const* names = nullptr;
  std::int32_t count = 0;
  void const* data = nullptr;
  std::size_t size = 0;
  bool answer = true;

  std::int32_t on_batch_size() noexcept override {
    what = "size";
    return 17;
  }
  bool on_batch(void** to, char const* const* of, std::int32_t number) noexcept override {
    what = "batch";
    bindings = to;
    names = of;
    count = number;
    return answer;
  }
  void const* on_read_cache(std::size_t& length) noexcept override {
    what = "read";
    length = size;
    return data;
  }
  void on_write_cache(void const* from, std::size_t length) noexcept override {
    what = "write";
    data = from;
    size = length;
  }
  double on_quantile() noexcept override {
    what = "quantile";
    return 0.25;
  }
  [[nodiscard]] bool is(char const* function) const { return text(what) == function; }
};

// The five functions that all of them have.
template <class Theirs, class Ours>
void drive_calibrator(Count& count, CalibratorSeen& seen, Ours& object) {
  auto* calibrator = theirs<Theirs>(object);
  count.call(calibrator->getBatchSize() == 17 && seen.is("size"), "getBatchSize");
  void* bindings[2] = {};
  char const* names[2] = {"x", "y"};
  for (bool answer : {true, false}) {
    seen = {};
    seen.answer = answer;
    bool const got = calibrator->getBatch(bindings, names, 2);
    count.call(seen.is("batch") && seen.bindings == bindings && seen.names == names && seen.count == 2 && got == answer,
               "getBatch");
  }
  for (std::size_t const size : {std::size_t{0}, std::numeric_limits<std::size_t>::max()}) {
    seen = {};
    seen.data = size == 0 ? nullptr : bindings;
    seen.size = size;
    std::size_t length = 5;
    void const* const got = calibrator->readCalibrationCache(length);
    count.call(seen.is("read") && got == seen.data && length == size, "readCalibrationCache");
    seen = {};
    calibrator->writeCalibrationCache(names, size);
    count.call(seen.is("write") && seen.data == names && seen.size == size, "writeCalibrationCache");
  }
  seen = {};
  // NVIDIA's own answer: each class has its value.
  count.same("getAlgorithm", calibrator->getAlgorithm(), calibrator->Theirs::getAlgorithm());
  check_version(count, calibrator);
}

template <class Theirs>
void drive_usual_calibrator(char const* name, char const* kind, std::int32_t algorithm) {
  if constexpr (requires { sizeof(Theirs); }) {
    Count count(name);
    CalibratorSeen seen;
    if constexpr (NV_TENSORRT_MAJOR >= 10) {
      tf2trt::abi::Calibrator10 object(seen, algorithm, kind);
      drive_calibrator<Theirs>(count, seen, object);
    } else {
      tf2trt::abi::Calibrator8 object(seen, algorithm);
      drive_calibrator<Theirs>(count, seen, object);
    }
    count.print();
  } else {
    std::printf("  %s: not in this version\n", name);
  }
}

template <class Theirs, class Ours>
void drive_quantile(Count& count, CalibratorSeen& seen, Ours& object) {
  drive_calibrator<Theirs>(count, seen, object);
  auto* calibrator = theirs<Theirs>(object);
  count.call(calibrator->getQuantile() == 0.25 && seen.is("quantile"), "getQuantile");
  count.call(calibrator->getRegressionCutoff() == tf2trt::abi::kRegressionCutoff, "getRegressionCutoff");
  std::size_t length = 5;
  count.call(calibrator->readHistogramCache(length) == nullptr && length == 0, "readHistogramCache");
  seen = {};
  calibrator->writeHistogramCache(&length, sizeof length);
  count.call(seen.is(""), "writeHistogramCache");
  count.call(is_same_slot(&Ours::writeHistogramCache, &Theirs::writeHistogramCache), "its slot");
}

template <class Theirs>
void drive_legacy_calibrator() {
  if constexpr (requires { sizeof(Theirs); }) {
    Count count("IInt8LegacyCalibrator");
    CalibratorSeen seen;
    constexpr std::int32_t kLegacy = 0;
    if constexpr (NV_TENSORRT_MAJOR >= 10) {
      tf2trt::abi::LegacyCalibrator<tf2trt::abi::Calibrator10> object(seen, kLegacy,
                                                                      tf2trt::abi::kLegacyCalibratorKind);
      drive_quantile<Theirs>(count, seen, object);
    } else {
      tf2trt::abi::LegacyCalibrator<tf2trt::abi::Calibrator8> object(seen, kLegacy);
      drive_quantile<Theirs>(count, seen, object);
    }
    count.print();
  } else {
    std::printf("  IInt8LegacyCalibrator: not in this version\n");
  }
}

inline void drive_calibrators() {
  constexpr std::int32_t kEntropy2 = 2;
  constexpr std::int32_t kMinMax = 3;
  drive_usual_calibrator<nvinfer1::EntropyCalibratorOrNothing>("IInt8EntropyCalibrator2",
                                                               tf2trt::abi::kEntropyCalibratorKind, kEntropy2);
  drive_usual_calibrator<nvinfer1::MinMaxCalibratorOrNothing>("IInt8MinMaxCalibrator",
                                                              tf2trt::abi::kMinMaxCalibratorKind, kMinMax);
  drive_legacy_calibrator<nvinfer1::LegacyCalibratorOrNothing>();
}

}  // namespace drive
