// What makes a shared object a plugin library: the three functions that TensorRT looks for (IPluginRegistry::
// loadLibrary, from 8.6 on), and registration by itself when a program merely loads it, as Polygraphy, trtexec's
// --staticPlugins and the programs of TensorRT 8.5 do.
#include <algorithm>
#include <cstdio>
#include <mutex>
#include <vector>

#include "abi/call.hpp"
#include "sdk/guard.hpp"
#include "sdk/host.hpp"
#include "sdk/operator.hpp"
#include "sdk/plugin_v2.hpp"
#include "sdk/plugin_v3.hpp"

// NOLINTBEGIN(readability-identifier-naming): TensorRT looks for these names
#define TF2TRT_PLUGINS_EXPORT extern "C" __attribute__((visibility("default")))

namespace tf2trt::plugins {

using abi::call;
using abi::Method;

namespace {

constexpr abi::Int kSeverityError = 1;  // nvinfer1::ILogger::Severity::kERROR

std::mutex& logger_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Whom errors are told: the host that was met last.
struct Listener {
  int generation = 0;
  void* (*get_logger)() = nullptr;
};
Listener& listener() {
  static Listener one;
  return one;
}

void listen(Host const& host) {
  if (host.get_logger == nullptr) return;
  std::scoped_lock const lock(logger_mutex());
  listener() = {host.api.generation(), host.get_logger};
}

// Made once and never deleted: a registry keeps pointers to them until the process ends.
template <class Creator>
std::vector<Creator*> const& creators() {
  static auto const& all = *[] {
    auto made = std::make_unique<std::vector<Creator*>>();
    for (MakeOperator make : operators()) made->push_back(std::make_unique<Creator>(make).release());
    return made.release();
  }();
  return all;
}

// The registries that hold the creators because this library was loaded, not because TensorRT asked for them.
std::vector<void*>& own_registrations() {
  static std::vector<void*> registries;
  return registries;
}

template <Method Find, class Creator>
void register_with(Host const& host) {
  bool is_new = false;
  for (Creator* one : creators<Creator>()) {
    char const* space = one->getPluginNamespace();
    if (call<Find>(host.api, host.registry, one->getPluginName(), one->getPluginVersion(), space) != nullptr) {
      continue;  // another copy of this library was first
    }
    is_new = call<Method::IPluginRegistry_registerCreator>(host.api, host.registry, static_cast<void*>(one), space) ||
             is_new;
  }
  if (is_new) own_registrations().push_back(host.registry);
}

// Runs when the library is loaded, after the operators' own registrations.
__attribute__((constructor)) void register_with_all() noexcept {
  guarded("tf2trt plugins", false, [] {
    for (auto const& host : loaded_hosts()) {
      listen(host);
      if (host.api.generation() == 8) {
        register_with<Method::IPluginRegistry_getPluginCreator, CreatorV2>(host);
      } else {
        register_with<Method::IPluginRegistry_getCreator, CreatorV3>(host);
      }
    }
    return true;
  });
}

// What IPluginRegistry::loadLibrary registers. The call loads this library first, which registers the creators by
// itself; loadLibrary takes a second registration as a failure, so the first is undone.
template <class Creator>
Creator* const* hand_over(void const* caller, std::int32_t& count) {
  auto const& all = creators<Creator>();
  for (auto const& host : host_of(caller)) {
    auto& own = own_registrations();
    auto const found = std::find(own.begin(), own.end(), host.registry);
    if (found == own.end()) continue;
    own.erase(found);
    for (Creator* one : all) {
      call<Method::IPluginRegistry_deregisterCreator>(host.api, host.registry, static_cast<void const*>(one));
    }
  }
  count = static_cast<std::int32_t>(all.size());
  return all.data();
}

}  // namespace

void log_error(std::string const& text) noexcept {
  Listener to;
  {
    std::scoped_lock const lock(logger_mutex());
    to = listener();
  }
  void* logger = to.get_logger == nullptr ? nullptr : to.get_logger();
  if (logger == nullptr) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  // ILogger is versioned from 11 on: its log follows four other entries.
  abi::Version const version{to.generation, to.generation == 8 ? 5 : 0, 0};
  call<Method::ILogger_log>(abi::Api(to.generation, version), logger, kSeverityError, text.c_str());
}

}  // namespace tf2trt::plugins

using namespace tf2trt::plugins;

// TensorRT 8.6: nvinfer1::IPluginCreator* const* getPluginCreators(int32_t&).
TF2TRT_PLUGINS_EXPORT CreatorV2* const* getPluginCreators(std::int32_t& count) noexcept {
  void const* caller = __builtin_return_address(0);
  return guarded("getPluginCreators", static_cast<CreatorV2* const*>(nullptr),
                 [&] { return hand_over<CreatorV2>(caller, count); });
}

// TensorRT 10 and 11: nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t&).
TF2TRT_PLUGINS_EXPORT CreatorV3* const* getCreators(std::int32_t& count) noexcept {
  void const* caller = __builtin_return_address(0);
  return guarded("getCreators", static_cast<CreatorV3* const*>(nullptr),
                 [&] { return hand_over<CreatorV3>(caller, count); });
}

// The finder belongs to the TensorRT that loads this library, so its virtual table tells which one that is.
TF2TRT_PLUGINS_EXPORT void setLoggerFinder(void* finder) noexcept {
  guarded("setLoggerFinder", false, [&] {
    if (finder == nullptr) return false;
    for (auto const& host : host_of(*static_cast<void**>(finder))) listen(host);
    return true;
  });
}
// NOLINTEND(readability-identifier-naming)
