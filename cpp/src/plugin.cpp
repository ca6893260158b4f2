#include "tf2trt/plugin.hpp"

#include <filesystem>
#include <map>
#include <mutex>

#include "abi/shared_object.hpp"
#include "library_state.hpp"
#include "log.hpp"

namespace tf2trt {
namespace {

bool load_and_register(Library const& library) {
  std::string const folder = std::filesystem::path(library.path()).parent_path().string();
  auto const files = abi::files_starting_with(folder, "libnvinfer_plugin.so." + std::to_string(library.version()[0]));
  for (auto const& file : files) {
    void* handle = abi::try_load_shared_object(file);
    if (handle == nullptr) continue;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
    auto const init = reinterpret_cast<bool (*)(void*, char const*)>(abi::find_symbol(handle, "initLibNvInferPlugins"));
    if (init != nullptr) return init(detail::tensorrt_logger(library.generation()), "");
  }
  return false;
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

}  // namespace tf2trt
