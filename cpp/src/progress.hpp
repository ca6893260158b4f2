// Build progress, through IProgressMonitor (TensorRT 10 and later).
#pragma once

#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <string>

#include "abi/callbacks.hpp"
#include "abi/slots.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt::detail {

class ProgressReport final : public abi::ProgressSink {
 public:
  explicit ProgressReport(Progress const& progress) : progress_(&progress), monitor_(*this) {}

  // Does nothing where this version reports no progress, and where nobody listens unless `always` says that stop() may
  // be called.
  void attach(abi::Api const& api, void* config, bool always = false);
  // Makes TensorRT stop at its next step.
  void stop() noexcept { stopped_ = true; }
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  // Throws what the listener threw, if it did.
  void rethrow() const;

  void on_phase_start(char const* phase, char const* parent, std::int32_t steps) noexcept override;
  bool on_step(char const* phase, std::int32_t step) noexcept override;
  void on_phase_finish(char const* phase) noexcept override;

 private:
  struct Phase {
    std::string parent;
    int steps = 0;
  };
  bool report(std::string const& phase, int step) noexcept;

  Progress const* progress_;
  abi::ProgressMonitor10 monitor_;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::map<std::string, Phase> phases_;
  std::exception_ptr thrown_;
};

}  // namespace tf2trt::detail
