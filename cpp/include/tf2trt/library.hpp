// Which TensorRT is used. tf2trt is not linked with TensorRT: it finds a library, reads its version and calls it
// through that version's tables, so one binary serves TensorRT 8.5-8.6, 10.x, 11.x and TensorRT-RTX 1.7.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tf2trt {

struct PlanHeader;

enum class LibraryKind {
  kFull,  // libnvinfer: builds and runs
  kLean,  // libnvinfer_lean: runs version-compatible plans of its own major version
  kRtx,   // TensorRT-RTX: builds without a GPU, ahead of time
};

// A TensorRT library; copies share it. It stays loaded until the process ends: TensorRT's own threads and static
// objects do not survive unloading.
class Library {
 public:
  // Loads one file. Throws Error: kLibraryNotFound (no such file), kLibrary (cannot be loaded, or is no TensorRT),
  // kUnsupportedVersion (no tables for it).
  static Library open(std::string const& path);
  // The best library here: see list_libraries for the order. `folders` are looked through before the loader's own
  // search. With need_builder only libraries that can build on this machine count; with a plan only those that can
  // read it; with a kind only those of that kind, and files of the other kinds' names are not loaded. Throws
  // Error(kLibraryNotFound) with all that was tried.
  static Library find(std::vector<std::string> const& folders = {}, bool need_builder = false,
                      PlanHeader const* plan = nullptr, std::optional<LibraryKind> kind = std::nullopt);

  [[nodiscard]] std::string const& path() const noexcept;
  // "" where there is no ONNX parser beside the library.
  [[nodiscard]] std::string const& parser_path() const noexcept;
  [[nodiscard]] LibraryKind kind() const noexcept;
  [[nodiscard]] std::array<int, 3> version() const noexcept;
  // Such as "8.6.0".
  [[nodiscard]] std::string version_text() const;
  // 8, 10 or 11: which tables are used. TensorRT-RTX 1.7 answers to 11's.
  [[nodiscard]] int generation() const noexcept;
  [[nodiscard]] bool can_build() const noexcept { return kind() != LibraryKind::kLean; }
  [[nodiscard]] bool can_parse() const noexcept { return can_build() && !parser_path().empty(); }
  [[nodiscard]] bool builds_without_gpu() const noexcept { return kind() == LibraryKind::kRtx; }
  // True where a network takes its precision from the graph's own types (11 and RTX).
  [[nodiscard]] bool strongly_typed() const noexcept { return generation() >= 11; }
  // Whether a plan with this header can be read, going by version alone.
  [[nodiscard]] bool reads(PlanHeader const& plan) const noexcept;

  struct State;
  [[nodiscard]] State const& state() const noexcept { return *state_; }

 private:
  explicit Library(std::shared_ptr<State const> state) : state_(std::move(state)) {}
  std::shared_ptr<State const> state_;
};

// A place where a library was looked for.
struct Candidate {
  std::string path;
  std::string source;  // "TF2TRT_NVINFER", "folder" or "loader"
  std::string reason;  // why it cannot be used; "" where it can
  std::unique_ptr<Library> library;
};

// All that is here, in order of preference: the path in the environment variable TF2TRT_NVINFER (a file or a folder;
// when set, nothing else counts), each of `folders`, then the loader's search for libnvinfer.so.11, .10, .8, the lean
// runtimes and TensorRT-RTX.
std::vector<Candidate> list_libraries(std::vector<std::string> const& folders = {});

}  // namespace tf2trt
