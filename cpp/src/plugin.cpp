#include "tf2trt/plugin.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "abi/call.hpp"
#include "abi/shared_object.hpp"
#include "library_state.hpp"
#include "log.hpp"
#include "plugins.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/logger.hpp"

namespace tf2trt {

using abi::call;
using abi::Method;

namespace {

constexpr char const* kOwnLibrary = "libtf2trt_plugins.so";
constexpr char const* kOwnVariable = "TF2TRT_PLUGINS_LIBRARY";

template <class F>
F symbol(void* handle, char const* name) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
  return reinterpret_cast<F>(abi::find_symbol(handle, name));
}

bool load_and_register(Library const& library) {
  std::string const folder = std::filesystem::path(library.path()).parent_path().string();
  auto const files = abi::files_starting_with(folder, "libnvinfer_plugin.so." + std::to_string(library.version()[0]));
  for (auto const& file : files) {
    void* handle = abi::try_load_shared_object(file);
    if (handle == nullptr) continue;
    auto const init = symbol<bool (*)(void*, char const*)>(handle, "initLibNvInferPlugins");
    if (init != nullptr) return init(detail::tensorrt_logger(library.generation()), "");
  }
  return false;
}

int creator_count(abi::Api const& api, void* registry) {
  int count = 0;
  if (api.generation() == 8) {
    call<Method::IPluginRegistry_getPluginCreatorList>(api, registry, &count);
  } else {
    call<Method::IPluginRegistry_getAllCreators>(api, registry, &count);
  }
  return count;
}

// What IPluginRegistry::loadLibrary does, for TensorRT 8.5, which has none.
void register_creators(abi::Api const& api, void* registry, void* handle) {
  using GetCreators = void* const* (*)(abi::Int&);
  auto const get = symbol<GetCreators>(handle, "getPluginCreators");
  if (get == nullptr) return;
  abi::Int count = 0;
  void* const* creators = get(count);
  for (abi::Int i = 0; i < count; ++i) {
    auto const space = call<Method::IPluginCreator_getPluginNamespace>(api, creators[i]);
    call<Method::IPluginRegistry_registerCreator>(api, registry, creators[i], space);
  }
}

[[noreturn]] void refuse(std::string const& path, std::string const& what, std::string const& received,
                         std::string const& hint) {
  throw Error(ErrorKind::kPlugin, path + ": " + what, {received, "a plugin library for this TensorRT", hint});
}

void load(Library::State const& library, std::string const& path) {
  abi::Api const& api = library.api;
  bool const was_loaded = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD) != nullptr;
  void* tensorrt = abi::load_shared_object(library.path);
  auto const get_registry = symbol<void* (*)()>(tensorrt, "getPluginRegistry");
  if (get_registry == nullptr) refuse(library.path, "has no plugin registry", "", "");
  void* registry = get_registry();
  int const before = creator_count(api, registry);
  std::string reason;
  void* handle = abi::try_load_shared_object(path, &reason);
  if (handle == nullptr) refuse(path, "cannot be loaded", reason, "the libraries that it needs must be installed");
  LogCapture const log;
  bool const has_creators =
      abi::find_symbol(handle, "getPluginCreators") != nullptr || abi::find_symbol(handle, "getCreators") != nullptr;
  bool registered = was_loaded;  // by whoever loaded it
  if (has_creators && api.has(Method::IPluginRegistry_loadLibrary)) {
    registered = call<Method::IPluginRegistry_loadLibrary>(api, registry, path.c_str()) != nullptr || registered;
  } else if (has_creators && creator_count(api, registry) == before) {
    register_creators(api, registry, handle);
  }
  if (!registered && creator_count(api, registry) == before) {
    std::string const& number = std::to_string(library.version.major) + "." + std::to_string(library.version.minor);
    refuse(path, "registers no plugin with TensorRT " + number + log.errors(),
           has_creators ? "getPluginCreators or getCreators with nothing that this version takes"
                        : "a library without getPluginCreators and getCreators",
           "TensorRT 8 takes IPluginV2 creators, 10 and 11 IPluginV3 creators");
  }
}

std::string beside_this_code() {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the address is only looked up
  std::filesystem::path here(abi::file_of(reinterpret_cast<void const*>(&find_plugin_library)));
  if (!here.has_parent_path()) here = "/proc/self/exe";  // a program that the shell found is known by its name alone
  std::error_code error;
  std::filesystem::path const folder = std::filesystem::canonical(here, error).parent_path();
  if (error) return "";
  for (char const* place : {"", "../lib", "plugins"}) {
    auto const file = folder / place / kOwnLibrary;
    if (std::filesystem::is_regular_file(file, error)) return file.lexically_normal().string();
  }
  return "";
}

}  // namespace

bool register_standard_plugins(Library const& library) {
  static std::mutex mutex;
  static std::map<std::string, bool> done;
  std::scoped_lock const lock(mutex);
  auto const known = done.find(library.path());
  if (known != done.end()) return known->second;
  bool const registered = library.kind() == LibraryKind::kFull && load_and_register(library);
  done.emplace(library.path(), registered);
  return registered;
}

void load_plugin_library(Library const& library, std::string const& path) {
  static std::mutex mutex;
  static std::set<std::pair<std::string, std::string>> done;
  std::error_code error;
  std::string const real = std::filesystem::canonical(path, error).string();
  if (error || !std::filesystem::is_regular_file(real, error))
    refuse(path, "no such plugin library", "", "check the path");
  if (library.kind() == LibraryKind::kRtx) {
    refuse(path, "TensorRT-RTX takes no plugins", "TensorRT-RTX " + library.version_text(),
           "replace the plugins by standard operators: tf2trt.surgery.lower_plugins");
  }
  std::scoped_lock const lock(mutex);
  std::pair<std::string, std::string> const key(library.path(), real);
  if (done.count(key) != 0) return;
  load(library.state(), real);
  done.insert(key);
}

std::string find_plugin_library() {
  char const* given = std::getenv(kOwnVariable);
  if (given != nullptr && *given != '\0') {
    std::error_code error;
    if (std::filesystem::is_regular_file(given, error)) return given;
    throw Error(ErrorKind::kPlugin, std::string(kOwnVariable) + " names no file",
                {given, std::string("the path of ") + kOwnLibrary, "correct the variable or unset it"});
  }
  std::string beside = beside_this_code();
  if (!beside.empty()) return beside;
  void* handle = abi::try_load_shared_object(kOwnLibrary);
  return handle == nullptr ? "" : abi::file_of(abi::find_symbol(handle, "getCreators"));
}

std::vector<std::string> plugin_operators(std::string const& onnx_path) {
  return detail::plugin_operators(scan_onnx(onnx_path));
}

namespace detail {

std::vector<std::string> plugin_operators(std::vector<OnnxNode> const& nodes) {
  std::set<std::string> operators;
  for (auto const& node : nodes) {
    if (node.domain == kPluginDomain) operators.insert(node.op_type);
  }
  return {operators.begin(), operators.end()};
}

std::vector<std::string> plugins_for_network(Library const& library, std::string const& onnx_path,
                                             std::vector<OnnxNode> const& nodes,
                                             std::vector<std::string> const& given) {
  std::vector<std::string> loaded;
  for (auto const& path : given) {
    load_plugin_library(library, path);
    loaded.push_back(path);
  }
  auto const operators = plugin_operators(nodes);
  if (operators.empty()) return loaded;
  std::string names;
  for (auto const& name : operators) names += (names.empty() ? "" : ", ") + name;
  std::string const lower = "tf2trt.surgery.lower_plugins replaces them by standard operators; tf2trt build does so";
  if (library.kind() == LibraryKind::kRtx) {
    throw Error(ErrorKind::kPlugin, onnx_path + ": TensorRT-RTX takes no plugins",
                {names, "standard operators", lower});
  }
  std::string const own = find_plugin_library();
  if (own.empty()) {
    throw Error(ErrorKind::kPlugin, onnx_path + ": needs tf2trt's plugins, and " + kOwnLibrary + " was not found",
                {names, std::string(kOwnLibrary) + " beside tf2trt, or in " + kOwnVariable,
                 "install tf2trt where there is nvcc; " + lower});
  }
  load_plugin_library(library, own);
  loaded.push_back(own);
  return loaded;
}

bool plugins_for_plan(Library const& library, void const* plan, std::size_t size) {
  std::string_view const bytes(static_cast<char const*>(plan), size);
  if (library.kind() == LibraryKind::kRtx || bytes.find(kPluginDomain) == std::string_view::npos) return true;
  std::string const own = find_plugin_library();
  if (own.empty()) return false;
  load_plugin_library(library, own);
  return true;
}

}  // namespace detail

}  // namespace tf2trt
