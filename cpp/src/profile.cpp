// Layer times, through IProfiler.
#include "abi/call.hpp"
#include "abi/callbacks.hpp"
#include "cuda_driver.hpp"
#include "engine_state.hpp"

namespace tf2trt {
namespace {

class LayerTimes final : public abi::ProfileSink {
 public:
  void on_layer(char const* name, float milliseconds) noexcept override {
    try {
      times_.emplace_back(name == nullptr ? "" : name, milliseconds);
    } catch (...) {  // NOLINT(bugprone-empty-catch): out of memory; a missing line must not end TensorRT's process
    }
  }
  std::vector<std::pair<std::string, float>> take() { return std::move(times_); }

 private:
  std::vector<std::pair<std::string, float>> times_;
};

// Attaches a profiler to a context while it lives.
class Attached {
 public:
  Attached(abi::Api const& api, void* context, void* profiler) : api_(&api), context_(context) {
    abi::call<abi::Method::VExecutionContext_setProfiler>(*api_, context_, profiler);
  }
  ~Attached() {
    void* const none = nullptr;
    abi::call<abi::Method::VExecutionContext_setProfiler>(*api_, context_, none);
  }
  Attached(Attached const&) = delete;
  Attached& operator=(Attached const&) = delete;
  Attached(Attached&&) = delete;
  Attached& operator=(Attached&&) = delete;

 private:
  abi::Api const* api_;
  void* context_;
};

}  // namespace

std::vector<std::pair<std::string, float>> ExecutionContext::profile_layers(void* stream) {
  LayerTimes times;
  abi::Profiler8 plain(times);
  abi::Profiler11 versioned(times);
  void* const profiler = state_->api().generation() >= 11 ? static_cast<void*>(&versioned) : static_cast<void*>(&plain);
  cuda::ContextGuard const guard;
  Attached const attached(state_->api(), state_->get(), profiler);
  enqueue(stream);
  cuda::check(cuda::driver().stream_synchronize(stream), "cuStreamSynchronize");
  return times.take();
}

}  // namespace tf2trt
