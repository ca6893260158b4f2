#include "profile.hpp"

#include "abi/call.hpp"
#include "cuda_driver.hpp"
#include "engine_state.hpp"

namespace tf2trt {

void detail::LayerTimes::on_layer(char const* name, float milliseconds) noexcept {
  try {
    times_.emplace_back(name == nullptr ? "" : name, milliseconds);
  } catch (...) {  // NOLINT(bugprone-empty-catch): out of memory; a missing line must not end TensorRT's process
  }
}

void* detail::LayerTimes::profiler(int generation) noexcept {
  return generation >= 11 ? static_cast<void*>(&versioned_) : static_cast<void*>(&plain_);
}

namespace {

// Whether enqueue reports to the profiler, while this lives.
class Emitting {
 public:
  Emitting(abi::Api const& api, void* context) : api_(&api), context_(context) { set(true); }
  ~Emitting() { set(false); }
  Emitting(Emitting const&) = delete;
  Emitting& operator=(Emitting const&) = delete;
  Emitting(Emitting&&) = delete;
  Emitting& operator=(Emitting&&) = delete;

 private:
  void set(bool emit) { abi::call<abi::Method::VExecutionContext_setEnqueueEmitsProfile>(*api_, context_, emit); }
  abi::Api const* api_;
  void* context_;
};

}  // namespace

std::vector<std::pair<std::string, float>> ExecutionContext::profile_layers(void* stream) {
  cuda::ContextGuard const guard(state_->in_context());
  abi::Api const& api = state_->api();
  if (!state_->times) {
    state_->times = std::make_unique<detail::LayerTimes>();
    abi::call<abi::Method::VExecutionContext_setProfiler>(api, state_->get(),
                                                          state_->times->profiler(api.generation()));
  }
  Emitting const emitting(api, state_->get());
  state_->times->take();
  enqueue(stream);
  cuda::check(cuda::driver().stream_synchronize(stream), "cuStreamSynchronize");
  return state_->times->take();
}

}  // namespace tf2trt
