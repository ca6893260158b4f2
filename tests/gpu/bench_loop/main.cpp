// How long the GPU works for one batch, measured without any of tf2trt's own streams, events, graphs or clocks: CUDA's
// driver is asked itself. TensorRT is called by libtf2trt's public interface, by one enqueue, which is captured.
//
//   bench_loop ENGINE BATCH SECONDS     prints: p50 in milliseconds, number of launches
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <tf2trt/engine.hpp>
#include <tf2trt/tensor.hpp>
#include <vector>

namespace {

using Address = unsigned long long;  // CUdeviceptr

// The driver's function of that name; CUresult is 0 where all is well.
template <class... Arguments>
void cuda(char const* name, Arguments... arguments) {
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  void* const symbol = driver == nullptr ? nullptr : dlsym(driver, name);
  if (symbol == nullptr) throw std::runtime_error(std::string(name) + ": the driver has no such function");
  int const status = reinterpret_cast<int (*)(Arguments...)>(symbol)(arguments...);
  if (status != 0) throw std::runtime_error(std::string(name) + ": CUresult " + std::to_string(status));
}

// Normal numbers in a float32 tensor, as tf2trt bench has them, and zeros in any other.
Address device_memory(tf2trt::TensorInfo const& tensor, tf2trt::Shape const& shape, void* stream) {
  std::size_t const bytes = tf2trt::bytes_of(tensor.dtype, tf2trt::element_count(shape));
  Address address = 0;
  cuda("cuMemAlloc_v2", &address, bytes);
  void* host = nullptr;
  cuda("cuMemHostAlloc", &host, bytes, 0U);
  std::fill_n(static_cast<std::byte*>(host), bytes, std::byte{0});
  if (tensor.is_input && tensor.dtype == tf2trt::DType::kFloat32) {
    std::mt19937 generator(0);  // NOLINT(bugprone-random-generator-seed): the same numbers each time
    std::normal_distribution<float> normal;
    std::generate_n(static_cast<float*>(host), bytes / sizeof(float), [&] { return normal(generator); });
  }
  cuda("cuMemcpyHtoDAsync_v2", address, static_cast<void const*>(host), bytes, stream);
  cuda("cuStreamSynchronize", stream);
  cuda("cuMemFreeHost", host);
  return address;
}

tf2trt::ExecutionContext make_context(tf2trt::Engine const& engine, std::int64_t batch, void* stream) {
  auto context = engine.create_context();
  for (int profile = 0; profile < engine.profile_count(); ++profile) {
    auto fits = [&](tf2trt::TensorInfo const& tensor) {
      if (!tensor.is_input || tensor.shape.empty() || tensor.shape[0] >= 0) return true;
      auto const range = engine.profile_shape(tensor.name, profile);
      return range.min[0] <= batch && batch <= range.max[0];
    };
    if (!std::all_of(engine.tensors().begin(), engine.tensors().end(), fits)) continue;
    context.set_profile(profile, stream);
    for (auto const& tensor : engine.tensors()) {
      if (!tensor.is_input || !is_dynamic(tensor)) continue;
      auto shape = engine.profile_shape(tensor.name, profile).opt;
      if (tensor.shape[0] < 0) shape[0] = batch;
      context.set_input_shape(tensor.name, shape);
    }
    return context;
  }
  throw std::runtime_error("no profile takes the batch");
}

void run(std::string const& path, std::int64_t batch, double seconds) {
  auto const engine = tf2trt::Engine::load(path);
  cuda("cuCtxPushCurrent_v2", engine.cuda_context());
  void* stream = nullptr;
  cuda("cuStreamCreate", &stream, 1U);  // CU_STREAM_NON_BLOCKING
  auto context = make_context(engine, batch, stream);
  std::vector<Address> memory;
  for (auto const& tensor : engine.tensors()) {
    memory.push_back(device_memory(tensor, context.tensor_shape(tensor.name), stream));
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's address is an integer
    context.set_tensor_address(tensor.name, reinterpret_cast<void*>(memory.back()));
  }
  context.enqueue(stream);  // TensorRT compiles and allocates in the first
  cuda("cuStreamSynchronize", stream);

  void* graph = nullptr;
  void* replay = nullptr;
  cuda("cuStreamBeginCapture_v2", stream, 1);  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  context.enqueue(stream);
  cuda("cuStreamEndCapture", stream, &graph);
  cuda("cuGraphInstantiateWithFlags", &replay, graph, 0ULL);
  void* start = nullptr;
  void* stop = nullptr;
  cuda("cuEventCreate", &start, 0U);
  cuda("cuEventCreate", &stop, 0U);

  using Clock = std::chrono::steady_clock;
  auto const launches = [&](double limit) {
    std::vector<float> times;
    auto const end = Clock::now() + std::chrono::duration<double>(limit);
    do {
      cuda("cuEventRecord", start, stream);
      cuda("cuGraphLaunch", replay, stream);
      cuda("cuEventRecord", stop, stream);
      cuda("cuEventSynchronize", stop);
      float milliseconds = 0;
      cuda("cuEventElapsedTime", &milliseconds, start, stop);
      times.push_back(milliseconds);
    } while (Clock::now() < end);
    return times;
  };
  launches(1.0);  // until the clocks are up
  auto times = launches(seconds);
  auto const middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  std::cout << *middle << ' ' << times.size() << '\n';

  cuda("cuEventDestroy_v2", start);
  cuda("cuEventDestroy_v2", stop);
  cuda("cuGraphExecDestroy", replay);
  cuda("cuGraphDestroy", graph);
  for (auto const address : memory) cuda("cuMemFree_v2", address);
  cuda("cuStreamDestroy_v2", stream);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: bench_loop ENGINE BATCH SECONDS\n";
    return 2;
  }
  try {
    run(argv[1], std::stoll(argv[2]), std::stod(argv[3]));
    return 0;
  } catch (std::exception const& error) {
    std::cerr << "Error: " << error.what() << '\n';
    return 1;
  }
}
