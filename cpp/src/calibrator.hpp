// INT8 calibration by TensorRT 8 and 10, through IInt8EntropyCalibrator2, IInt8MinMaxCalibrator or
// IInt8LegacyCalibrator.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/calibrators.hpp"
#include "abi/slots.hpp"
#include "progress.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/builder.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt::detail {

class Calibrator final : public abi::CalibratorSink {
 public:
  // What is given must live as long. Throws Error(kUsage) for a network that cannot be calibrated: where an input is a
  // shape tensor.
  Calibrator(abi::Api const& api, Calibration const& calibration, std::vector<TensorInfo> const& inputs,
             ProgressReport& progress);
  ~Calibrator() = default;
  Calibrator(Calibrator const&) = delete;
  Calibrator& operator=(Calibrator const&) = delete;

  // Shows the calibrator and its shapes to the config, which must not build once it is gone. The shapes are those of
  // the first batch, which is asked for here, or where there is a cache those of the first profile. Throws
  // Error(kInput) for data that do not fit the inputs, or none at all, and what the data throw.
  void attach(void* builder, void* config, std::vector<Profile> const& profiles);
  // Throws what went wrong while TensorRT built.
  void rethrow() const;
  // What TensorRT wanted kept; empty where nothing.
  [[nodiscard]] std::vector<char> take_cache() { return std::move(written_); }

  std::int32_t on_batch_size() noexcept override { return calibration_->batch_size; }
  bool on_batch(void** bindings, char const* const* names, std::int32_t count) noexcept override;
  void const* on_read_cache(std::size_t& size) noexcept override;
  void on_write_cache(void const* data, std::size_t size) noexcept override;
  double on_quantile() noexcept override { return calibration_->quantile; }

 private:
  using Batch = std::vector<HostArray>;
  // An input's memory, made with the first batch.
  struct Memory {
    explicit Memory(std::size_t bytes) : host(bytes), device(bytes) {}
    PinnedBuffer host;
    DeviceBuffer device;
  };

  void make_interface();
  // The next batch, checked; empty at the end.
  Batch next();
  void check(Batch const& batch) const;
  void upload(Batch const& batch);
  void fail() noexcept;

  abi::Api const* api_;
  Calibration const* calibration_;
  std::vector<TensorInfo> const* inputs_;
  ProgressReport* progress_;
  // One of them, by generation; `interface_` is what TensorRT is given.
  std::unique_ptr<abi::Calibrator8> calibrator8_;
  std::unique_ptr<abi::Calibrator10> calibrator10_;
  void* interface_ = nullptr;

  Batch first_;                          // asked for beforehand, and not handed on yet
  std::map<std::string, Shape> shapes_;  // of every batch
  int batches_ = 0;                      // that were taken
  std::optional<Stream> stream_;
  std::map<std::string, Memory> memory_;
  std::vector<char> written_;
  std::exception_ptr thrown_;
};

}  // namespace tf2trt::detail
