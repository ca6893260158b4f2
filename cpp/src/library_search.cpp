// Where TensorRT is looked for, and which of what was found is taken.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "abi/shared_object.hpp"
#include "cuda_driver.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt {
namespace {

constexpr char const* kVariable = "TF2TRT_NVINFER";

// A file, or a bare name for the loader to search for.
struct Place {
  std::string path;
  char const* source;
};

// What the files of one kind are called in a folder, and what the loader is asked for.
struct Names {
  LibraryKind kind;
  char const* prefix;
  std::vector<char const*> loader;
};

// The names of one kind, or of all kinds, in order of preference.
std::vector<Names> names_of(std::optional<LibraryKind> kind) {
  std::vector<Names> names = {
      {LibraryKind::kFull, "libnvinfer.so.", {"libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8"}},
      {LibraryKind::kLean,
       "libnvinfer_lean.so.",
       {"libnvinfer_lean.so.11", "libnvinfer_lean.so.10", "libnvinfer_lean.so.8"}},
      {LibraryKind::kRtx, "libtensorrt_rtx.so", {"libtensorrt_rtx.so.1"}}};
  if (kind) {
    names.erase(std::remove_if(names.begin(), names.end(), [&](Names const& each) { return each.kind != *kind; }),
                names.end());
  }
  return names;
}

void add_folder(std::vector<Place>& places, std::string const& folder, std::vector<Names> const& names,
                char const* source) {
  for (auto const& each : names) {
    for (auto const& file : abi::files_starting_with(folder, each.prefix)) places.push_back({file, source});
  }
}

std::vector<Place> places(std::vector<std::string> const& folders, std::optional<LibraryKind> kind = std::nullopt) {
  std::vector<Names> const names = names_of(kind);
  std::vector<Place> found;
  if (char const* chosen = std::getenv(kVariable); chosen != nullptr && *chosen != '\0') {
    if (std::filesystem::is_directory(chosen)) {
      add_folder(found, chosen, names, kVariable);
    } else {
      found.push_back({chosen, kVariable});
    }
    return found;
  }
  for (auto const& folder : folders) add_folder(found, folder, names, "folder");
  for (auto const& each : names) {
    for (char const* name : each.loader) found.push_back({name, "loader"});
  }
  return found;
}

// Opens places one by one: each library is hundreds of megabytes, so what comes after the one that is taken stays
// unopened.
class Opener {
 public:
  // Nothing where the file was seen before under another name, or the loader knows no such name.
  std::unique_ptr<Candidate> open(Place const& place) {
    auto candidate = std::make_unique<Candidate>(Candidate{place.path, place.source, "", nullptr});
    try {
      candidate->library = std::make_unique<Library>(Library::open(place.path));
      candidate->path = candidate->library->path();
    } catch (Error const& error) {
      candidate->reason = error.what();
      bool const by_name = place.path.find('/') == std::string::npos;
      if (by_name && candidate->reason.find(place.path + ": cannot open shared object file") != std::string::npos) {
        return nullptr;
      }
    }
    std::error_code error;
    auto const real = std::filesystem::canonical(candidate->path, error);
    if (!seen_.insert(error ? candidate->path : real.string()).second) return nullptr;
    return candidate;
  }

 private:
  std::set<std::string> seen_;
};

// An error's message in one line, without its advice.
std::string one_line(std::string const& message) {
  std::string text;
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("  expected:", 0) == 0 || line.rfind("  hint:", 0) == 0) continue;
    text += text.empty() ? line : "," + line.substr(1);
  }
  return text;
}

// What the caller of Library::find asks for.
struct Wanted {
  bool builder;
  PlanHeader const* plan;
  std::optional<LibraryKind> kind;

  [[nodiscard]] bool lean() const { return kind == LibraryKind::kLean; }
  [[nodiscard]] char const* noun() const {
    return lean() ? "lean runtime" : kind == LibraryKind::kRtx ? "TensorRT-RTX" : kind ? "full TensorRT" : "TensorRT";
  }
  // Why a library is passed over; "" where it is taken.
  [[nodiscard]] std::string objection(Library const& library) const {
    if (kind && library.kind() != *kind) return std::string("no ") + noun();
    if (plan != nullptr && !library.reads(*plan)) {
      return "version " + library.version_text() + " cannot read a plan of " + plan->version_text();
    }
    if (!builder) return "";
    if (!library.can_build()) return "a lean runtime, which cannot build";
    if (!library.can_parse()) return "no ONNX parser beside it";
    if (!library.builds_without_gpu() && !cuda::available()) return "needs a GPU to build: " + cuda::why_not();
    return "";
  }
  [[nodiscard]] std::string missing() const {
    std::string const what = std::string("no ") + noun();
    if (plan != nullptr) return what + " that can read this plan (version " + plan->version_text() + ") was found";
    return what + (builder ? " that can build here was found" : " was found");
  }
  [[nodiscard]] char const* supported() const {
    return lean() ? "libnvinfer_lean 8.6, 10.x or 11.x, of the plan's own major version"
                  : "libnvinfer 8.5-8.6, 10.x or 11.x, or TensorRT-RTX 1.7";
  }
  [[nodiscard]] std::string advice() const {
    if (!lean()) {
      return "pip install 'tf2trt[rtx]' (builds without a GPU) or 'tf2trt[trt]', or set " + std::string(kVariable) +
             " to the path of libnvinfer.so";
    }
    int const major = plan == nullptr ? 0 : plan->version[0];
    if (major == 1) return "TensorRT-RTX wrote this plan, and has no lean runtime: load it without asking for one";
    std::string const version = major == 0 ? "" : "==" + std::to_string(major) + ".*";
    std::string const package = major == 8 ? "pip install 'tensorrt-lean" + version + "'"
                                           : "pip install 'tensorrt-lean-cu13-libs" + version + "', or -cu12-libs";
    return package + "; it reads plans that were built with tf2trt build --version-compatible";
  }
};

std::string describe(std::vector<Candidate> const& candidates, Wanted const& wanted) {
  if (candidates.empty()) return "nothing was found";
  std::string text;
  for (auto const& candidate : candidates) {
    text += "\n    ";
    // A reason names the file itself.
    text += candidate.library == nullptr ? one_line(candidate.reason)
                                         : candidate.path + ": " + wanted.objection(*candidate.library);
  }
  return text;
}

}  // namespace

std::vector<Candidate> list_libraries(std::vector<std::string> const& folders) {
  Opener opener;
  std::vector<Candidate> candidates;
  for (auto const& place : places(folders)) {
    if (auto candidate = opener.open(place)) candidates.push_back(std::move(*candidate));
  }
  return candidates;
}

Library Library::find(std::vector<std::string> const& folders, bool need_builder, PlanHeader const* plan,
                      std::optional<LibraryKind> kind) {
  Wanted const wanted{need_builder, plan, kind};
  Opener opener;
  std::vector<Candidate> candidates;
  for (auto const& place : places(folders, kind)) {
    auto candidate = opener.open(place);
    if (candidate == nullptr) continue;
    candidates.push_back(std::move(*candidate));
    if (candidates.back().library == nullptr) continue;
    Library const& library = *candidates.back().library;
    if (wanted.objection(library).empty()) return library;
  }
  char const* const chosen = std::getenv(kVariable);
  bool const fixed = chosen != nullptr && *chosen != '\0';
  std::string const advice =
      fixed ? std::string(kVariable) + " is set to " + chosen + ": correct or unset it" : wanted.advice();
  if (fixed && candidates.size() == 1 && candidates.front().library == nullptr) {
    // The one file that was asked for: what is wrong with it is the error.
    try {
      Library::open(candidates.front().path);
    } catch (Error const& error) {
      throw Error(error.kind(), one_line(error.what()), {"", wanted.supported(), advice});
    }
  }
  throw Error(ErrorKind::kLibraryNotFound, wanted.missing(),
              {describe(candidates, wanted), wanted.supported(), advice});
}

}  // namespace tf2trt
