#include "tf2trt/library.hpp"

#include <filesystem>

#include "abi/shared_object.hpp"
#include "cuda_driver.hpp"
#include "library_state.hpp"
#include "log.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/logger.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt {
namespace {

template <class F>
F entry_point(void* handle, char const* name) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
  return reinterpret_cast<F>(abi::find_symbol(handle, name));
}

struct Identity {
  LibraryKind kind;
  abi::Version own;        // the library's version
  abi::Version interface;  // the version whose tables it answers to
};

std::string text(abi::Version const& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." + std::to_string(version.patch);
}

// How the libraries number themselves: 8600 is 8.6.0 (major x 1000), 101601 is 10.16.1 (major x 10000), and
// TensorRT-RTX, whose major version is 1, says 10701 for 1.7.1.
Identity identify(int number, bool has_builder, std::string const& path) {
  if (number < 10000) {
    abi::Version const version{number / 1000, number / 100 % 10, number % 100};
    return {has_builder ? LibraryKind::kFull : LibraryKind::kLean, version, version};
  }
  abi::Version const version{number / 10000, number / 100 % 100, number % 100};
  if (version.major >= 10) return {has_builder ? LibraryKind::kFull : LibraryKind::kLean, version, version};
  if (version.major == 1 && version.minor >= 7) return {LibraryKind::kRtx, version, {11, 1, 0}};
  throw Error(
      ErrorKind::kUnsupportedVersion, path + ": TensorRT-RTX " + text(version) + " is not supported",
      {text(version), "TensorRT-RTX 1.7 or later",
       "older releases strip methods out of the interface: pip install -U onnxruntime-ep-nv-tensorrt-rtx-cu13"});
}

void refuse_unsupported(Identity const& identity, std::string const& path) {
  int const major = identity.interface.major;
  bool const known = major == 8 || major == 10 || major == 11;
  bool const too_old = major == 8 && identity.interface.minor < 5;
  if (known && !too_old) return;
  throw Error(ErrorKind::kUnsupportedVersion, path + ": TensorRT " + text(identity.own) + " is not supported",
              {text(identity.own), "TensorRT 8.5-8.6, 10.x, 11.x or TensorRT-RTX 1.7",
               too_old ? "update JetPack to 5.1 or later, or install TensorRT 8.6 or 10"
                       : "install a supported TensorRT, or a tf2trt that has tables for this one"});
}

std::string parser_beside(std::string const& library, Identity const& identity) {
  std::string const folder = std::filesystem::path(library).parent_path().string();
  std::string const name = identity.kind == LibraryKind::kRtx
                               ? std::string("libtensorrt_onnxparser_rtx.so")
                               : "libnvonnxparser.so." + std::to_string(identity.own.major);
  auto const found = abi::files_starting_with(folder.empty() ? "." : folder, name);
  return found.empty() ? "" : found.front();
}

// A full TensorRT finds its further libraries by name; when it lies in a folder that the loader does not search, they
// are loaded from beside it first, so that the name is already known.
void preload_beside(std::string const& library, std::string const& prefix) {
  std::string const folder = std::filesystem::path(library).parent_path().string();
  for (auto const& file : abi::files_starting_with(folder.empty() ? "." : folder, prefix)) {
    if (abi::try_load_shared_object(file) != nullptr) return;
  }
}

abi::Owned created(void* object, LogCapture const& log, std::string const& what) {
  if (object == nullptr) {
    bool const no_gpu = !cuda::available();
    throw Error(no_gpu ? ErrorKind::kDevice : ErrorKind::kLibrary, what + " could not be created" + log.errors(),
                {"", "", no_gpu ? "no NVIDIA driver or GPU was found on this machine: " + cuda::why_not() : ""});
  }
  return abi::Owned(object);
}

}  // namespace

Library Library::open(std::string const& path) {
  if (!std::filesystem::exists(path) && path.find('/') != std::string::npos) {
    throw Error(ErrorKind::kLibraryNotFound, path + ": no such file",
                {"", "a TensorRT library, such as libnvinfer.so.10", "tf2trt doctor shows what is installed"});
  }
  void* handle = abi::load_shared_object(path);
  auto const get_version = entry_point<std::int32_t (*)()>(handle, "getInferLibVersion");
  using Create = void* (*)(void*, std::int32_t);
  auto const create_runtime = entry_point<Create>(handle, "createInferRuntime_INTERNAL");
  auto const create_builder = entry_point<Create>(handle, "createInferBuilder_INTERNAL");
  if (get_version == nullptr || create_runtime == nullptr) {
    throw Error(ErrorKind::kLibrary, path + ": not a TensorRT library",
                {"a library without getInferLibVersion and createInferRuntime_INTERNAL",
                 "libnvinfer, libnvinfer_lean or libtensorrt_rtx", ""});
  }
  int const number = get_version();
  Identity const identity = identify(number, create_builder != nullptr, path);
  refuse_unsupported(identity, path);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the address is only looked up
  std::string const real = abi::file_of(reinterpret_cast<void const*>(get_version));
  auto state = std::make_shared<State>(
      real.empty() ? path : real, identity.kind, identity.own, number,
      abi::Api(identity.interface.major, identity.interface, identity.kind == LibraryKind::kRtx));
  state->create_builder = create_builder;
  state->create_runtime = create_runtime;
  if (create_builder != nullptr) state->parser_path = parser_beside(state->path, identity);
  return Library(std::move(state));
}

std::string const& Library::path() const noexcept { return state_->path; }
std::string const& Library::parser_path() const noexcept { return state_->parser_path; }
LibraryKind Library::kind() const noexcept { return state_->kind; }
std::array<int, 3> Library::version() const noexcept {
  return {state_->version.major, state_->version.minor, state_->version.patch};
}
std::string Library::version_text() const { return text(state_->version); }
int Library::generation() const noexcept { return state_->api.generation(); }

bool Library::reads(PlanHeader const& plan) const noexcept {
  auto const own = version();
  if (plan.version[0] != own[0]) return false;
  // The lean runtime is there for plans of other minor versions; anything else needs its own version.
  return kind() == LibraryKind::kLean || (plan.version[1] == own[1] && plan.version[2] == own[2]);
}

abi::Owned Library::State::make_builder() const {
  if (create_builder == nullptr) {
    throw Error(ErrorKind::kLibrary, path + ": the lean runtime cannot build",
                {"", "a full TensorRT or TensorRT-RTX", "pip install 'tf2trt[trt]' or 'tf2trt[rtx]'"});
  }
  if (kind == LibraryKind::kFull) preload_beside(path, "libnvinfer_builder_resource.so");
  LogCapture const log;
  return created(create_builder(detail::tensorrt_logger(api.generation()), version_number), log, "IBuilder");
}

abi::Owned Library::State::make_runtime() const {
  cuda::driver();  // says plainly that there is none; TensorRT 8.6.0 crashes
  LogCapture const log;
  return created(create_runtime(detail::tensorrt_logger(api.generation()), version_number), log, "IRuntime");
}

abi::Owned Library::State::make_parser(void* network) const {
  if (parser_path.empty()) {
    throw Error(ErrorKind::kLibrary, path + ": no ONNX parser beside it",
                {"", kind == LibraryKind::kRtx ? "libtensorrt_onnxparser_rtx.so" : "libnvonnxparser.so", ""});
  }
  std::scoped_lock const lock(parser_mutex_);
  if (create_parser_ == nullptr) {
    if (kind == LibraryKind::kFull) {
      preload_beside(path, "libnvinfer_plugin.so." + std::to_string(version.major));
    }
    void* handle = abi::load_shared_object(parser_path);
    auto const get_version = entry_point<std::int32_t (*)()>(handle, "getNvOnnxParserVersion");
    create_parser_ = entry_point<void* (*)(void*, void*, std::int32_t)>(handle, "createNvOnnxParser_INTERNAL");
    if (get_version == nullptr || create_parser_ == nullptr) {
      create_parser_ = nullptr;
      throw Error(ErrorKind::kLibrary, parser_path + ": not TensorRT's ONNX parser");
    }
    parser_version_ = get_version();
  }
  LogCapture const log;
  void* parser = create_parser_(network, detail::tensorrt_logger(api.generation()), parser_version_);
  if (parser == nullptr) throw Error(ErrorKind::kLibrary, "IParser could not be created" + log.errors());
  return {parser, api.slot(abi::Method::IParser_deletingDestructor)};
}

}  // namespace tf2trt
