// The plugin registry of a fake TensorRT, with NVIDIA's slots for the version in FAKE_NUMBER, and the logger that its
// plugins are told of. Included by the sources of fakes alone.
#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "sdk/plugin_v2.hpp"
#include "sdk/plugin_v3.hpp"

namespace {

constexpr int kGeneration = FAKE_NUMBER < 10000 ? 8 : FAKE_NUMBER / 10000;
#if FAKE_NUMBER < 10000
using Creator = tf2trt::plugins::CreatorV2;
constexpr char const* kGetCreators = "getPluginCreators";
#else
using Creator = tf2trt::plugins::CreatorV3;
constexpr char const* kGetCreators = "getCreators";
#endif

// What the tests ask for.
std::vector<Creator*> g_creators;
std::string g_log;

// An object without data: a table whose every slot ends the program, but for those that are set.
class Plain {
 public:
  Plain() {
    slots_.fill(reinterpret_cast<void*>(&wrong_slot));
    object_[0] = static_cast<void*>(slots_.data());
  }
  template <class F>
  void set(int slot, F* function) {
    if (slot >= 0) slots_.at(static_cast<std::size_t>(slot)) = reinterpret_cast<void*>(function);
  }
  void* object() { return static_cast<void*>(object_); }

 private:
  static void wrong_slot() { std::abort(); }
  std::array<void*, 24> slots_{};
  void* object_[1] = {};
};

bool is(Creator* one, char const* name, char const* version, char const* space) {
  return std::string(one->getPluginName()) == name && std::string(one->getPluginVersion()) == version &&
         std::string(one->getPluginNamespace()) == space;
}
void* look_up(void* /*registry*/, char const* name, char const* version, char const* space) {
  for (Creator* one : g_creators) {
    if (is(one, name, version, space)) return one;
  }
  return nullptr;
}
bool put_in(void* registry, Creator* one, char const* space) {
  if (look_up(registry, one->getPluginName(), one->getPluginVersion(), space) != nullptr) return false;
  g_creators.push_back(one);
  return true;
}
bool take_out(void* /*registry*/, Creator* one) {
  auto const found = std::find(g_creators.begin(), g_creators.end(), one);
  if (found == g_creators.end()) return false;
  g_creators.erase(found);
  return true;
}
Creator* const* list(void* /*registry*/, std::int32_t* count) {
  *count = static_cast<std::int32_t>(g_creators.size());
  return g_creators.data();
}
void write_log(void* /*logger*/, std::int32_t severity, char const* text) {
  g_log += std::to_string(severity) + " " + text + "\n";
}

void* logger() {
  static Plain& made = *[] {
    auto* plain = new Plain;
    plain->set(kGeneration == 11 ? 4 : 0, &write_log);
    return plain;
  }();
  return made.object();
}
void* find_logger(void* /*finder*/) { return logger(); }

// nvinfer1::ILoggerFinder: plugins look at the address of its table, so that lies in this library.
void* finder() {
  static void* table[] = {reinterpret_cast<void*>(&find_logger)};
  static void* object[] = {static_cast<void*>(table)};
  return static_cast<void*>(object);
}

// As NVIDIA's: one creator that is there already, and the library is refused.
void* load_library(void* registry, char const* path) {
  void* library = dlopen(path, RTLD_LAZY);
  if (library == nullptr) return nullptr;
  auto const tell = reinterpret_cast<void (*)(void*)>(dlsym(library, "setLoggerFinder"));
  if (tell != nullptr) tell(finder());
  auto const get = reinterpret_cast<Creator* const* (*)(std::int32_t&)>(dlsym(library, kGetCreators));
  if (get == nullptr) return nullptr;
  std::int32_t count = 0;
  Creator* const* creators = get(count);
  for (std::int32_t i = 0; i < count; ++i) {
    if (!put_in(registry, creators[i], creators[i]->getPluginNamespace())) return nullptr;
  }
  return count == 0 ? nullptr : library;
}

// registerCreator, its opposite, the list, find, loadLibrary.
constexpr std::array<int, 5> slots() {
  if (kGeneration == 11) return {8, 11, 9, 10, 6};
  if (kGeneration == 10) return {12, 15, 13, 14, 10};
  if (FAKE_NUMBER == 8600) return {0, 11, 1, 2, 5};
  return {0, 7, 1, 2, FAKE_NUMBER > 8600 ? 10 : -1};
}

}  // namespace

// NOLINTBEGIN(misc-definitions-in-headers): one source includes it
extern "C" void* getPluginRegistry() {
  static Plain& made = *[] {
    auto* plain = new Plain;
    plain->set(slots()[0], &put_in);
    plain->set(slots()[1], &take_out);
    plain->set(slots()[2], &list);
    plain->set(slots()[3], &look_up);
    plain->set(slots()[4], &load_library);
    return plain;
  }();
  return made.object();
}
extern "C" void* getLogger() { return logger(); }
extern "C" char const* fake_log() { return g_log.c_str(); }
// NOLINTEND(misc-definitions-in-headers)
