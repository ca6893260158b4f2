// A library that looks like TensorRT from outside. FAKE_NUMBER: what it says its version is; FAKE_BUILDER: it has a
// builder, so it is not the lean runtime; FAKE_REGISTRY: it has a plugin registry; FAKE_PLUGINS: it is
// libnvinfer_plugin instead; FAKE_NOTHING: it is neither. It refuses to make anything and logs the version that it was
// asked for.
#include <cstdint>
#include <string>

#if defined(FAKE_NOTHING)

extern "C" int fake_nothing() { return 0; }

#elif defined(FAKE_PLUGINS)

namespace {
int g_calls = 0;
}  // namespace

extern "C" bool initLibNvInferPlugins(void* logger, char const* name_space) {
  ++g_calls;
  return logger != nullptr && *name_space == '\0';
}
extern "C" int fake_plugin_calls() { return g_calls; }

#else

namespace {

void* refuse(void* logger, char const* what, std::int32_t version) {
  constexpr int kError = 1;
  constexpr bool kVersionedLogger = FAKE_NUMBER >= 110000 || FAKE_NUMBER / 10000 == 1;
  constexpr int kLogSlot = kVersionedLogger ? 4 : 0;
  std::string const text = std::string("fake ") + what + " refuses version " + std::to_string(version);
  void* const* table = *static_cast<void* const**>(logger);
  reinterpret_cast<void (*)(void*, std::int32_t, char const*)>(table[kLogSlot])(logger, kError, text.c_str());
  return nullptr;
}

}  // namespace

#ifdef FAKE_REGISTRY
#include "support/fake_registry.hpp"
#endif

extern "C" std::int32_t getInferLibVersion() { return FAKE_NUMBER; }

extern "C" void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) {
  return refuse(logger, "runtime", version);
}

#ifdef FAKE_BUILDER
extern "C" void* createInferBuilder_INTERNAL(void* logger, std::int32_t version) {
  return refuse(logger, "builder", version);
}
#endif

#endif
