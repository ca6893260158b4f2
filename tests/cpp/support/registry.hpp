// A TensorRT library's plugin registry, as a program meets it.
#pragma once

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "abi/call.hpp"

namespace tf2trt::test {

// Stays loaded.
inline void* load_or_throw(std::string const& path) {
  void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  return handle;
}

template <class F>
F function_in(void* handle, char const* name) {
  return reinterpret_cast<F>(dlsym(handle, name));
}

class Registry {
 public:
  explicit Registry(std::string const& path)
      : handle_(load_or_throw(path)),
        api_(api_of(function_in<int (*)()>(handle_, "getInferLibVersion")())),
        registry_(function_in<void* (*)()>(handle_, "getPluginRegistry")()) {}

  [[nodiscard]] void* handle() const noexcept { return handle_; }
  [[nodiscard]] abi::Api const& api() const noexcept { return api_; }
  [[nodiscard]] bool takes_v2() const noexcept { return api_.generation() == 8; }

  // IPluginRegistry::loadLibrary: nullptr where TensorRT refuses.
  [[nodiscard]] void* load_library(std::string const& path) const {
    return abi::call<abi::Method::IPluginRegistry_loadLibrary>(api_, registry_, path.c_str());
  }
  void deregister_library(void* library) const {
    int const slot = api_.slot(abi::Method::IPluginRegistry_deregisterLibrary);
    abi::detail::Caller<void(void*)>::call(registry_, slot, library);
  }
  [[nodiscard]] int count() const {
    int count = 0;
    if (takes_v2()) {
      abi::call<abi::Method::IPluginRegistry_getPluginCreatorList>(api_, registry_, &count);
    } else {
      abi::call<abi::Method::IPluginRegistry_getAllCreators>(api_, registry_, &count);
    }
    return count;
  }
  // A CreatorV2 or CreatorV3; nullptr where there is none.
  [[nodiscard]] void* find(char const* name, char const* version, char const* space) const {
    if (takes_v2()) {
      return abi::call<abi::Method::IPluginRegistry_getPluginCreator>(api_, registry_, name, version, space);
    }
    return abi::call<abi::Method::IPluginRegistry_getCreator>(api_, registry_, name, version, space);
  }

 private:
  static abi::Api api_of(int number) {
    if (number < 10000) return {number / 1000, {number / 1000, number / 100 % 10, number % 100}};
    return {number / 10000, {number / 10000, number / 100 % 100, number % 100}};
  }

  void* handle_;
  abi::Api api_;
  void* registry_;
};

}  // namespace tf2trt::test
