#include "abi/shared_object.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "tf2trt/error.hpp"

namespace tf2trt::abi {

void* try_load_shared_object(std::string const& path, std::string* reason) noexcept {
  // Lazy: TensorRT 8's plugin library names cuBLAS and cuDNN functions that only plugins nobody asked for would call.
  void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr && reason != nullptr) {
    char const* words = dlerror();
    *reason = words == nullptr ? "the loader gave no reason" : words;
  }
  return handle;
}

void* load_shared_object(std::string const& path) {
  std::string reason;
  void* handle = try_load_shared_object(path, &reason);
  if (handle == nullptr) throw Error(ErrorKind::kLibrary, path + ": cannot be loaded", {reason, "", ""});
  return handle;
}

void* find_symbol(void* handle, char const* name) noexcept { return dlsym(handle, name); }

std::string file_of(void const* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

std::vector<std::string> files_starting_with(std::string const& folder, std::string const& prefix) {
  std::vector<std::string> found;
  std::error_code error;
  for (auto const& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().filename().string().compare(0, prefix.size(), prefix) == 0) found.push_back(entry.path().string());
  }
  // ".so.11" before ".so.8" before ".so": longer versions first would be wrong, so compare the numbers.
  auto const number = [&prefix](std::string const& path) {
    std::string const name = std::filesystem::path(path).filename().string().substr(prefix.size());
    auto const digit = name.find_first_of("0123456789");
    return digit == std::string::npos ? 0L : std::strtol(name.c_str() + digit, nullptr, 10);
  };
  std::sort(found.begin(), found.end(), [&number](auto const& a, auto const& b) {
    long const left = number(a);
    long const right = number(b);
    return left != right ? left > right : a < b;
  });
  return found;
}

}  // namespace tf2trt::abi
