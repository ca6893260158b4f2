// Where TensorRT is looked for, and which of what was found is taken.
#include <cstdlib>
#include <filesystem>
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

void add_folder(std::vector<Place>& places, std::string const& folder, char const* source) {
  for (char const* prefix : {"libnvinfer.so.", "libnvinfer_lean.so.", "libtensorrt_rtx.so"}) {
    for (auto const& file : abi::files_starting_with(folder, prefix)) places.push_back({file, source});
  }
}

std::vector<Place> places(std::vector<std::string> const& folders) {
  std::vector<Place> found;
  if (char const* chosen = std::getenv(kVariable); chosen != nullptr && *chosen != '\0') {
    if (std::filesystem::is_directory(chosen)) {
      add_folder(found, chosen, kVariable);
    } else {
      found.push_back({chosen, kVariable});
    }
    return found;
  }
  for (auto const& folder : folders) add_folder(found, folder, "folder");
  for (char const* name : {"libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8", "libnvinfer_lean.so.11",
                           "libnvinfer_lean.so.10", "libnvinfer_lean.so.8", "libtensorrt_rtx.so.1"}) {
    found.push_back({name, "loader"});
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

std::string describe(std::vector<Candidate> const& candidates, bool need_builder, PlanHeader const* plan) {
  if (candidates.empty()) return "nothing was found";
  std::string text;
  for (auto const& candidate : candidates) {
    text += "\n    ";
    if (candidate.library == nullptr) {
      text += one_line(candidate.reason);  // it names the file
      continue;
    }
    text += candidate.path + ": ";
    if (plan != nullptr && !candidate.library->reads(*plan)) {
      text += "version " + candidate.library->version_text() + " cannot read a plan of " + plan->version_text();
    } else if (need_builder && !candidate.library->can_parse()) {
      text += candidate.library->can_build() ? "no ONNX parser beside it" : "a lean runtime, which cannot build";
    } else {
      text += "needs a GPU to build: " + cuda::why_not();
    }
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

Library Library::find(std::vector<std::string> const& folders, bool need_builder, PlanHeader const* plan) {
  Opener opener;
  std::vector<Candidate> candidates;
  for (auto const& place : places(folders)) {
    auto candidate = opener.open(place);
    if (candidate == nullptr) continue;
    candidates.push_back(std::move(*candidate));
    if (candidates.back().library == nullptr) continue;
    Library const& library = *candidates.back().library;
    if (plan != nullptr && !library.reads(*plan)) continue;
    if (need_builder && (!library.can_parse() || (!library.builds_without_gpu() && !cuda::available()))) continue;
    return library;
  }
  char const* const chosen = std::getenv(kVariable);
  bool const fixed = chosen != nullptr && *chosen != '\0';
  std::string const advice = fixed ? std::string(kVariable) + " is set to " + chosen + ": correct or unset it"
                                   : "pip install 'tf2trt[rtx]' (builds without a GPU) or 'tf2trt[trt]', or set " +
                                         std::string(kVariable) + " to the path of libnvinfer.so";
  constexpr char const* kSupported = "libnvinfer 8.5-8.6, 10.x or 11.x, or TensorRT-RTX 1.7";
  if (fixed && candidates.size() == 1 && candidates.front().library == nullptr) {
    // The one file that was asked for: what is wrong with it is the error.
    try {
      Library::open(candidates.front().path);
    } catch (Error const& error) {
      throw Error(error.kind(), one_line(error.what()), {"", kSupported, advice});
    }
  }
  std::string const purpose =
      plan != nullptr ? "no TensorRT that can read this plan (version " + plan->version_text() + ") was found"
      : need_builder  ? "no TensorRT that can build here was found"
                      : "no TensorRT was found";
  throw Error(ErrorKind::kLibraryNotFound, purpose, {describe(candidates, need_builder, plan), kSupported, advice});
}

}  // namespace tf2trt
