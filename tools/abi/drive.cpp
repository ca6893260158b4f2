// Calls the classes of cpp/abi/callbacks.hpp and calibrators.hpp through NVIDIA's interfaces, as TensorRT does, and
// looks at what arrived. Compiled against the headers of one TensorRT version by `python tools/abi drive DIR`.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <vector>

#include "NvInfer.h"
#include "abi/callbacks.hpp"
#include "count.hpp"
#include "drive_calibrators.hpp"

namespace {

namespace ours = tf2trt::abi;
using drive::check_version;
using drive::Count;
using drive::theirs;

// What the last call brought. Text is kept as a pointer: it must be the very one that was passed.
struct Seen : ours::LogSink, ours::ProfileSink, ours::ProgressSink, ours::OutputSink {
  int calls = 0;
  char const* what = "";
  char const* text = nullptr;
  char const* second = nullptr;
  std::int32_t number = -1;
  float time = 0;
  bool answer = true;
  void* current = nullptr;
  void* memory = nullptr;
  std::uint64_t size = 0;
  std::uint64_t alignment = 0;
  std::vector<std::int64_t> extents;

  void note(char const* function, char const* first, char const* parent, std::int32_t value) noexcept {
    ++calls;
    what = function;
    text = first;
    second = parent;
    number = value;
  }
  void on_log(std::int32_t severity, char const* message) noexcept override { note("log", message, nullptr, severity); }
  void on_layer(char const* name, float milliseconds) noexcept override {
    note("layer", name, nullptr, -1);
    time = milliseconds;
  }
  void on_phase_start(char const* phase, char const* parent, std::int32_t steps) noexcept override {
    note("start", phase, parent, steps);
  }
  bool on_step(char const* phase, std::int32_t step) noexcept override {
    note("step", phase, nullptr, step);
    return answer;
  }
  void on_phase_finish(char const* phase) noexcept override { note("finish", phase, nullptr, -1); }

  void* on_reallocate(char const* name, void* now, std::uint64_t bytes, std::uint64_t boundary) noexcept override {
    note("reallocate", name, nullptr, -1);
    current = now;
    size = bytes;
    alignment = boundary;
    return memory;
  }
  void on_shape(char const* name, std::int64_t const* of, std::int32_t count) noexcept override {
    note("shape", name, nullptr, count);
    extents.assign(of, of + count);
  }

  [[nodiscard]] bool is(char const* function, char const* first, char const* parent, std::int32_t value) const {
    return std::strcmp(what, function) == 0 && text == first && second == parent && number == value;
  }
};

char const kText[] = "text";
char const kParent[] = "parent";

template <class Ours>
void drive_logger() {
  using Logger = nvinfer1::ILogger;
  Count count("ILogger");
  Seen seen;
  Ours object(seen);
  auto* logger = theirs<Logger>(object);
  for (auto severity : {Logger::Severity::kINTERNAL_ERROR, Logger::Severity::kERROR, Logger::Severity::kWARNING,
                        Logger::Severity::kINFO, Logger::Severity::kVERBOSE}) {
    logger->log(severity, kText);
    count.call(seen.is("log", kText, nullptr, static_cast<std::int32_t>(severity)), "log");
  }
  logger->log(Logger::Severity::kINFO, "");
  count.call(seen.calls == 6 && *seen.text == '\0', "log of an empty text");
  check_version(count, logger);
  count.print();
}

template <class Ours>
void drive_profiler() {
  Count count("IProfiler");
  Seen seen;
  Ours object(seen);
  auto* profiler = theirs<nvinfer1::IProfiler>(object);
  for (float time : {0.0F, 0.25F, 1.5e6F}) {
    profiler->reportLayerTime(kText, time);
    count.call(seen.is("layer", kText, nullptr, -1) && seen.time == time, "reportLayerTime");
  }
  check_version(count, profiler);
  count.print();
}

// A template, so that a version without the interface compiles: there it is an incomplete type.
template <class Theirs>
void drive_progress_monitor() {
  if constexpr (requires { sizeof(Theirs); }) {
    Count count("IProgressMonitor");
    Seen seen;
    ours::ProgressMonitor10 object(seen);
    auto* monitor = theirs<Theirs>(object);
    for (char const* parent : {static_cast<char const*>(nullptr), static_cast<char const*>(kParent)}) {
      monitor->phaseStart(kText, parent, 7);
      count.call(seen.is("start", kText, parent, 7), "phaseStart");
    }
    for (bool answer : {true, false}) {
      seen.answer = answer;
      bool const got = monitor->stepComplete(kText, 3);
      count.call(seen.is("step", kText, nullptr, 3) && got == answer, "stepComplete");
    }
    monitor->phaseFinish(kText);
    count.call(seen.is("finish", kText, nullptr, -1) && seen.calls == 5, "phaseFinish");
    check_version(count, monitor);
    count.print();
  } else {
    std::printf("  IProgressMonitor: not in this version\n");
  }
}

// Both functions that give memory, with sizes and extents past 32 bits where the interface has room for them.
template <class Ours, class Theirs>
void drive_output_allocator() {
  if constexpr (requires { sizeof(Theirs); }) {
    Count count("IOutputAllocator");
    Seen seen;
    Ours object(seen);
    auto* allocator = theirs<Theirs>(object);
    int here = 0;
    std::uint64_t const size = (std::uint64_t{1} << 40) + 7;
    auto const check = [&](void* got, char const* what) {
      count.call(seen.is("reallocate", kText, nullptr, -1) && seen.current == &here && seen.size == size &&
                     seen.alignment == 256 && got == seen.memory,
                 what);
    };
    for (void* memory : {static_cast<void*>(&seen), static_cast<void*>(nullptr)}) {
      seen.memory = memory;
      check(allocator->reallocateOutput(kText, &here, size, 256), "reallocateOutput");
      if constexpr (requires { allocator->reallocateOutputAsync(kText, &here, size, 256, nullptr); }) {
        seen.note("", nullptr, nullptr, 0);
        auto* const stream = reinterpret_cast<cudaStream_t>(&here);
        check(allocator->reallocateOutputAsync(kText, &here, size, 256, stream), "reallocateOutputAsync");
        // Both do the same: only their places tell one from the other.
        count.call(drive::is_same_slot(&Ours::reallocateOutputAsync, &Theirs::reallocateOutputAsync), "its slot");
      }
    }
    using Extent = std::remove_reference_t<decltype(nvinfer1::Dims::d[0])>;
    constexpr auto kLargest = std::numeric_limits<Extent>::max();
    for (int rank = 0; rank <= nvinfer1::Dims::MAX_DIMS; ++rank) {
      nvinfer1::Dims dims{};
      dims.nbDims = rank;
      for (int i = 0; i < rank; ++i) dims.d[i] = kLargest - i;
      allocator->notifyShape(kText, dims);
      bool same = seen.is("shape", kText, nullptr, rank);
      for (int i = 0; same && i < rank; ++i) same = seen.extents[i] == kLargest - i;
      count.call(same, "notifyShape");
    }
    if constexpr (requires { allocator->getInterfaceVersion(); }) {
      count.same("getInterfaceVersion", allocator->getInterfaceVersion(), allocator->Theirs::getInterfaceVersion());
    }
    check_version(count, allocator);
    count.print();
  } else {
    std::printf("  IOutputAllocator: not in this version\n");
  }
}

}  // namespace

// Found only where NVIDIA's namespace has no such name.
class IProgressMonitor;
class IOutputAllocator;
namespace nvinfer1 {
using ProgressMonitorOrNothing = IProgressMonitor;
using OutputAllocatorOrNothing = IOutputAllocator;
}  // namespace nvinfer1

int main() {
  std::printf("%d.%d.%d\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH);
  constexpr bool versioned = NV_TENSORRT_MAJOR >= 11;
  drive_logger<std::conditional_t<versioned, ours::Logger11, ours::Logger8>>();
  drive_profiler<std::conditional_t<versioned, ours::Profiler11, ours::Profiler8>>();
  drive_progress_monitor<nvinfer1::ProgressMonitorOrNothing>();
  constexpr bool wide = NV_TENSORRT_MAJOR >= 10;
  drive_output_allocator<std::conditional_t<wide, ours::OutputAllocator10, ours::OutputAllocator8>,
                         nvinfer1::OutputAllocatorOrNothing>();
  drive::drive_calibrators();
  return Count::all_differences() == 0 ? 0 : 1;
}
