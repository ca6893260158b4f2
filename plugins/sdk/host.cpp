#include "sdk/host.hpp"

#include <dlfcn.h>
#include <link.h>

#include <exception>

#include "abi/shared_object.hpp"

namespace tf2trt::plugins {
namespace {

bool is_tensorrt(std::string const& path) {
  std::string const file = path.substr(path.rfind('/') + 1);
  return file.rfind("libnvinfer.so", 0) == 0 || file.rfind("libnvinfer_lean.so", 0) == 0;
}

template <class F>
F symbol(void* handle, char const* name) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
  return reinterpret_cast<F>(abi::find_symbol(handle, name));
}

// 8600 is 8.6.0, 101601 is 10.16.1.
abi::Version version_of(int number) {
  if (number < 10000) return {number / 1000, number / 100 % 10, number % 100};
  return {number / 10000, number / 100 % 100, number % 100};
}

std::vector<Host> host_at(std::string const& path) {
  if (!is_tensorrt(path)) return {};
  void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return {};
  auto const get_version = symbol<int (*)()>(handle, "getInferLibVersion");
  auto const get_registry = symbol<void* (*)()>(handle, "getPluginRegistry");
  auto const get_logger = symbol<void* (*)()>(handle, "getLogger");
  if (get_version == nullptr || get_registry == nullptr) return {};
  try {
    abi::Version const version = version_of(get_version());
    return {{path, abi::Api(version.major, version), get_registry(), get_logger}};
  } catch (std::exception const&) {
    return {};
  }
}

int collect(dl_phdr_info* info, std::size_t /*size*/, void* found) {
  static_cast<std::vector<std::string>*>(found)->emplace_back(info->dlpi_name == nullptr ? "" : info->dlpi_name);
  return 0;
}

}  // namespace

std::vector<Host> host_of(void const* address) { return host_at(abi::file_of(address)); }

std::vector<Host> loaded_hosts() {
  std::vector<std::string> paths;  // first all names: opening a library inside the walk could wait for itself
  dl_iterate_phdr(&collect, &paths);
  std::vector<Host> hosts;
  for (auto const& path : paths) {
    for (auto& host : host_at(path)) hosts.push_back(std::move(host));
  }
  return hosts;
}

}  // namespace tf2trt::plugins
