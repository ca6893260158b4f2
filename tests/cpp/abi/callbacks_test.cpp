// Calls each class as TensorRT does: through its table, by the slots that were generated from NVIDIA's headers.
#include "abi/callbacks.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "abi/slots.hpp"
#include "support/apis.hpp"
#include "support/interface.hpp"

namespace tf2trt::abi {
namespace {

using test::api10;
using test::api11;
using test::api8;
using test::at_slot;

// Pointers are compared: the text must be the very one that was passed.
struct Sink final : LogSink, ProfileSink, ProgressSink, OutputSink {
  std::string what;
  char const* text = nullptr;
  char const* parent = nullptr;
  std::int32_t number = -1;
  float milliseconds = 0;
  bool answer = true;
  void* current = nullptr;
  void* memory = nullptr;
  std::uint64_t size = 0;
  std::uint64_t alignment = 0;
  Shape extents;

  void on_log(std::int32_t severity, char const* message) noexcept override {
    what = "log";
    number = severity;
    text = message;
  }
  void on_layer(char const* name, float time) noexcept override {
    what = "layer";
    text = name;
    milliseconds = time;
  }
  void on_phase_start(char const* phase, char const* above, std::int32_t steps) noexcept override {
    what = "start";
    text = phase;
    parent = above;
    number = steps;
  }
  bool on_step(char const* phase, std::int32_t step) noexcept override {
    what = "step";
    text = phase;
    number = step;
    return answer;
  }
  void on_phase_finish(char const* phase) noexcept override {
    what = "finish";
    text = phase;
  }
  void* on_reallocate(char const* name, void* now, std::uint64_t bytes, std::uint64_t boundary) noexcept override {
    what = "reallocate";
    text = name;
    current = now;
    size = bytes;
    alignment = boundary;
    return memory;
  }
  void on_shape(char const* name, std::int64_t const* of, std::int32_t count) noexcept override {
    what = "shape";
    text = name;
    number = count;
    extents.assign(of, of + count);
  }
};

constexpr char kText[] = "some text";

template <class Logger>
void check_logger(Api const& api) {
  Sink sink;
  Logger logger(sink);
  for (std::int32_t const severity : {0, 1, 2, 3, 4}) {
    at_slot<void, std::int32_t, char const*>(&logger, api.slot(Method::ILogger_log), severity, kText);
    EXPECT_EQ(sink.what, "log");
    EXPECT_EQ(sink.number, severity);
    EXPECT_EQ(sink.text, kText);
  }
  at_slot<void, std::int32_t, char const*>(&logger, api.slot(Method::ILogger_log), 1, nullptr);
  EXPECT_EQ(sink.text, nullptr);
}

TEST(Callbacks, Logger8) {
  check_logger<Logger8>(api8());
  check_logger<Logger8>(api10());
}

TEST(Callbacks, Logger11) { check_logger<Logger11>(api11()); }

template <class Profiler>
void check_profiler(Api const& api) {
  Sink sink;
  Profiler profiler(sink);
  at_slot<void, char const*, float>(&profiler, api.slot(Method::IProfiler_reportLayerTime), kText, 1.25F);
  EXPECT_EQ(sink.what, "layer");
  EXPECT_EQ(sink.text, kText);
  EXPECT_EQ(sink.milliseconds, 1.25F);
}

TEST(Callbacks, Profiler8) {
  check_profiler<Profiler8>(api8());
  check_profiler<Profiler8>(api10());
}

TEST(Callbacks, Profiler11) { check_profiler<Profiler11>(api11()); }

TEST(Callbacks, ProgressMonitor10) {
  for (Api const& api : {api10(), api11()}) {
    Sink sink;
    ProgressMonitor10 monitor(sink);
    constexpr char kParent[] = "its parent";
    at_slot<void, char const*, char const*, std::int32_t>(&monitor, api.slot(Method::IProgressMonitor_phaseStart),
                                                          kText, kParent, 17);
    EXPECT_EQ(sink.what, "start");
    EXPECT_EQ(sink.text, kText);
    EXPECT_EQ(sink.parent, kParent);
    EXPECT_EQ(sink.number, 17);
    for (bool const answer : {true, false}) {
      sink.answer = answer;
      EXPECT_EQ((at_slot<bool, char const*, std::int32_t>(&monitor, api.slot(Method::IProgressMonitor_stepComplete),
                                                          kText, 3)),
                answer);
      EXPECT_EQ(sink.what, "step");
      EXPECT_EQ(sink.number, 3);
    }
    at_slot<void, char const*>(&monitor, api.slot(Method::IProgressMonitor_phaseFinish), kParent);
    EXPECT_EQ(sink.what, "finish");
    EXPECT_EQ(sink.text, kParent);
  }
}

template <class Allocator, class Dims>
void check_output_allocator(Api const& api) {
  Sink sink;
  Allocator allocator(sink);
  void* const current = &sink.size;
  constexpr std::uint64_t kSize = (std::uint64_t{1} << 40U) + 1;
  constexpr std::uint64_t kAlignment = 256;
  auto const check = [&](void* got) {
    EXPECT_EQ(got, sink.memory);
    EXPECT_EQ(sink.what, "reallocate");
    EXPECT_EQ(sink.text, kText);
    EXPECT_EQ(sink.current, current);
    EXPECT_EQ(sink.size, kSize);
    EXPECT_EQ(sink.alignment, kAlignment);
    sink.what = "";
  };
  for (void* const memory : {static_cast<void*>(&sink), static_cast<void*>(nullptr)}) {
    sink.memory = memory;
    int const slot = api.slot(Method::IOutputAllocator_reallocateOutput);
    check(at_slot<void*>(&allocator, slot, &kText[0], current, kSize, kAlignment));
    if (!api.has(Method::IOutputAllocator_reallocateOutputAsync)) continue;
    void* const stream = &sink.alignment;
    int const later = api.slot(Method::IOutputAllocator_reallocateOutputAsync);
    check(at_slot<void*>(&allocator, later, &kText[0], current, kSize, kAlignment, stream));
  }
  using Extent = typename decltype(Dims::extents)::value_type;
  constexpr Extent kLargest = std::numeric_limits<Extent>::max();
  Dims const dims{3, {kLargest, 0, -1}};
  at_slot<void, char const*, Dims const*>(&allocator, api.slot(Method::IOutputAllocator_notifyShape), kText, &dims);
  EXPECT_EQ(sink.what, "shape");
  EXPECT_EQ(sink.text, kText);
  EXPECT_EQ(sink.number, 3);
  EXPECT_EQ(sink.extents, (Shape{kLargest, 0, -1}));
}

TEST(Callbacks, OutputAllocator8) {
  check_output_allocator<OutputAllocator8, Dims32>(api8());
  Sink sink;
  OutputAllocator8 allocator(sink);
  EXPECT_EQ(at_slot<std::int32_t>(&allocator, api8().slot(Method::IOutputAllocator_getInterfaceVersion)), 1);
}

TEST(Callbacks, OutputAllocator10) {
  check_output_allocator<OutputAllocator10, Dims64>(api10());
  check_output_allocator<OutputAllocator10, Dims64>(api11());
}

// getAPILanguage, at slot 0, and getInterfaceInfo.
void check_versioned(void* object, int info_slot, std::string const& kind) {
  EXPECT_EQ(at_slot<std::int32_t>(object, 0), kApiLanguageCpp);
  auto const info = at_slot<InterfaceInfo>(object, info_slot);
  EXPECT_EQ(info.kind, kind);
  EXPECT_EQ(info.major, 1);
  EXPECT_EQ(info.minor, 0);
}

TEST(Callbacks, VersionedInterfacesSayWhatTheyAre) {
  Sink sink;
  Logger11 logger(sink);
  Profiler11 profiler(sink);
  ProgressMonitor10 monitor(sink);
  check_versioned(&logger, api11().slot(Method::ILogger_getInterfaceInfo), "ILogger");
  check_versioned(&profiler, api11().slot(Method::ILogger_getInterfaceInfo), "IProfiler");
  OutputAllocator10 allocator(sink);
  check_versioned(&allocator, api10().slot(Method::IOutputAllocator_getInterfaceInfo), "IOutputAllocator");
  check_versioned(&monitor, api10().slot(Method::IProgressMonitor_getInterfaceInfo), "IProgressMonitor");
}

TEST(Callbacks, PlainInterfacesAreDeletedBehindTheirFunction) {
  Sink sink;
  constexpr int kDeletingDestructor = 2;
  at_slot<void>(new Logger8(sink), kDeletingDestructor);
  at_slot<void>(new Profiler8(sink), kDeletingDestructor);
  EXPECT_EQ(sink.what, "");
}

}  // namespace
}  // namespace tf2trt::abi
