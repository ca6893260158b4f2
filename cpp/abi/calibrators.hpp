// The INT8 calibrators that TensorRT 8 and 10 call (11 has none), laid out as NVIDIA's classes are: the order of the
// virtual functions is the interface. tools/abi/drive.cpp calls every function through NVIDIA's own classes.
//
//   IInt8EntropyCalibrator2, IInt8MinMaxCalibrator   the five functions of IInt8Calibrator; getAlgorithm tells them
//   apart IInt8LegacyCalibrator                            four more behind those
//
// In 8 they are plain, with the destructor behind getAlgorithm; in 10 versioned, so that getAPILanguage,
// getInterfaceInfo and the destructor come first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/callbacks.hpp"

namespace tf2trt::abi {

class CalibratorSink {
 public:
  virtual std::int32_t on_batch_size() noexcept = 0;
  // Puts the device address of each named input into `bindings`. False ends the data.
  virtual bool on_batch(void** bindings, char const* const* names, std::int32_t count) noexcept = 0;
  // Sets `size`; nullptr where there is no cache. What is returned stays until the build is over.
  virtual void const* on_read_cache(std::size_t& size) noexcept = 0;
  virtual void on_write_cache(void const* data, std::size_t size) noexcept = 0;
  // Asked of a legacy calibrator only.
  virtual double on_quantile() noexcept = 0;

 protected:
  ~CalibratorSink() = default;
};

// The share of a tensor's maximum up to which a legacy calibrator looks for its range: all of it, so that the quantile
// alone decides.
inline constexpr double kRegressionCutoff = 1;

class Calibrator8 {
 public:
  // algorithm: a value of nvinfer1::CalibrationAlgoType.
  Calibrator8(CalibratorSink& sink, std::int32_t algorithm) noexcept : sink_(&sink), algorithm_(algorithm) {}
  [[nodiscard]] virtual std::int32_t getBatchSize() const noexcept { return sink_->on_batch_size(); }
  virtual bool getBatch(void** bindings, char const** names, std::int32_t count) noexcept {
    return sink_->on_batch(bindings, names, count);
  }
  virtual void const* readCalibrationCache(std::size_t& size) noexcept { return sink_->on_read_cache(size); }
  virtual void writeCalibrationCache(void const* data, std::size_t size) noexcept { sink_->on_write_cache(data, size); }
  virtual std::int32_t getAlgorithm() noexcept { return algorithm_; }
  virtual ~Calibrator8() = default;
  Calibrator8(Calibrator8 const&) = delete;
  Calibrator8& operator=(Calibrator8 const&) = delete;

 protected:
  [[nodiscard]] CalibratorSink& sink() const noexcept { return *sink_; }

 private:
  CalibratorSink* sink_;
  std::int32_t algorithm_;
};

class Calibrator10 {
 public:
  // kind: the name that NVIDIA's class gives of itself.
  Calibrator10(CalibratorSink& sink, std::int32_t algorithm, char const* kind) noexcept
      : sink_(&sink), algorithm_(algorithm), kind_(kind) {}
  [[nodiscard]] virtual std::int32_t getAPILanguage() const noexcept { return kApiLanguageCpp; }
  [[nodiscard]] virtual InterfaceInfo getInterfaceInfo() const noexcept { return {kind_, 1, 0}; }
  virtual ~Calibrator10() = default;
  [[nodiscard]] virtual std::int32_t getBatchSize() const noexcept { return sink_->on_batch_size(); }
  virtual bool getBatch(void** bindings, char const** names, std::int32_t count) noexcept {
    return sink_->on_batch(bindings, names, count);
  }
  virtual void const* readCalibrationCache(std::size_t& size) noexcept { return sink_->on_read_cache(size); }
  virtual void writeCalibrationCache(void const* data, std::size_t size) noexcept { sink_->on_write_cache(data, size); }
  virtual std::int32_t getAlgorithm() noexcept { return algorithm_; }
  Calibrator10(Calibrator10 const&) = delete;
  Calibrator10& operator=(Calibrator10 const&) = delete;

 protected:
  [[nodiscard]] CalibratorSink& sink() const noexcept { return *sink_; }

 private:
  CalibratorSink* sink_;
  std::int32_t algorithm_;
  char const* kind_;
};

// Of Calibrator8 or Calibrator10. Histograms are not kept.
template <class Base>
class LegacyCalibrator : public Base {
 public:
  using Base::Base;
  [[nodiscard]] virtual double getQuantile() const noexcept { return this->sink().on_quantile(); }
  [[nodiscard]] virtual double getRegressionCutoff() const noexcept { return kRegressionCutoff; }
  virtual void const* readHistogramCache(std::size_t& size) noexcept {
    size = 0;
    return nullptr;
  }
  virtual void writeHistogramCache(void const* /*data*/, std::size_t /*size*/) noexcept {}
};

// What NVIDIA's classes of 10 call themselves; the legacy calibrator goes by its base's name.
inline constexpr char const* kEntropyCalibratorKind = "IInt8EntropyCalibrator2";
inline constexpr char const* kMinMaxCalibratorKind = "IInt8MinMaxCalibrator";
inline constexpr char const* kLegacyCalibratorKind = "IInt8Calibrator";

}  // namespace tf2trt::abi
