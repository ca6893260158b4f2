// Calls each class as TensorRT does: through its table, by the slots that were generated from NVIDIA's headers.
#include "abi/callbacks.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "abi/slots.hpp"
#include "support/apis.hpp"

namespace tf2trt::abi {
namespace {

using test::api10;
using test::api11;
using test::api8;
template <class R, class... P>
R at_slot(void* object, int slot, P... arguments) {
  void* const* table = *static_cast<void* const**>(object);
  return reinterpret_cast<R (*)(void*, P...)>(table[slot])(object, arguments...);
}

// Pointers are compared: the text must be the very one that was passed.
struct Sink final : LogSink, ProfileSink, ProgressSink {
  std::string what;
  char const* text = nullptr;
  char const* parent = nullptr;
  std::int32_t number = -1;
  float milliseconds = 0;
  bool answer = true;

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
