#include "progress.hpp"

#include "abi/call.hpp"

namespace tf2trt::detail {

void ProgressReport::attach(abi::Api const& api, void* config, bool always) {
  if ((!*progress_ && !always) || !api.has(abi::Method::VBuilderConfig_setProgressMonitor)) return;
  abi::call<abi::Method::VBuilderConfig_setProgressMonitor>(api, config, static_cast<void*>(&monitor_));
}

void ProgressReport::rethrow() const {
  if (thrown_) std::rethrow_exception(thrown_);
}

bool ProgressReport::report(std::string const& phase, int step) noexcept {
  if (stopped_) return false;
  try {
    Phase known;
    {
      std::scoped_lock const lock(mutex_);
      known = phases_[phase];
    }
    // Outside the lock: the listener may take locks of its own, such as Python's.
    if (*progress_ && !(*progress_)(phase, known.parent, step, known.steps)) stopped_ = true;
  } catch (...) {
    std::scoped_lock const lock(mutex_);
    if (!thrown_) thrown_ = std::current_exception();
    stopped_ = true;
  }
  return !stopped_;
}

void ProgressReport::on_phase_start(char const* phase, char const* parent, std::int32_t steps) noexcept {
  try {
    std::scoped_lock const lock(mutex_);
    phases_[phase] = {parent == nullptr ? "" : parent, steps};
  } catch (...) {  // NOLINT(bugprone-empty-catch): out of memory; progress is not worth the build
  }
  report(phase, 0);
}

bool ProgressReport::on_step(char const* phase, std::int32_t step) noexcept { return report(phase, step + 1); }

void ProgressReport::on_phase_finish(char const* phase) noexcept {
  int steps = 0;
  {
    std::scoped_lock const lock(mutex_);
    auto const found = phases_.find(phase);
    if (found != phases_.end()) steps = found->second.steps;
  }
  report(phase, steps);
}

}  // namespace tf2trt::detail
