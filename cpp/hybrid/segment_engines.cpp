#include "segment_engines.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <optional>
#include <system_error>

#include "cuda_driver.hpp"
#include "mapped_file.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/library.hpp"

namespace tf2trt::hybrid {
namespace {

// Builds of a segment that may fail. A further one would most likely fail too, and each takes its time.
constexpr std::size_t kMostFailures = 16;

// Held while an engine is built.
std::mutex& one_build() {
  static auto& mutex = *new std::mutex;
  return mutex;
}

std::string written(std::string const& path) {
  std::error_code error;
  auto const time = std::filesystem::last_write_time(path, error).time_since_epoch().count();
  return path + '\t' + std::to_string(error ? 0 : time);
}

std::string key_of(Segment const& segment, int device) {
  std::string key = written(segment.engine) + '\n' + written(segment.onnx) + '\n' + std::to_string(device) + '\t' +
                    name_of(segment.options.precision) + '\t' + std::to_string(segment.options.workspace) + '\t' +
                    std::to_string(segment.most_built);
  for (auto const* bindings : {&segment.inputs, &segment.outputs}) {
    key += '\n';
    for (auto const& binding : *bindings) key += binding.name + '\t' + binding.dtype + '\t';
  }
  return key;
}

std::string text_of(std::vector<Binding> const& inputs, std::vector<Shape> const& shapes) {
  std::string text;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    text += (i == 0 ? "'" : ", '") + inputs[i].name + "' of " + to_string(shapes[i]);
  }
  return text;
}

bool is_empty(Shape const& shape) { return std::find(shape.begin(), shape.end(), 0) != shape.end(); }

}  // namespace

std::shared_ptr<SegmentEngines> SegmentEngines::open(Segment const& segment, int device,
                                                     std::vector<std::string> const& folders) {
  static auto& mutex = *new std::mutex;  // never destroyed: kernels may be closed while the process ends
  static auto& known = *new std::map<std::string, std::weak_ptr<SegmentEngines>>;
  std::scoped_lock const lock(mutex);
  std::string const key = key_of(segment, device);
  if (auto open = known[key].lock()) return open;
  std::shared_ptr<SegmentEngines> opened(new SegmentEngines(segment, device, folders));
  if (!segment.engine.empty()) {
    opened->ahead_ = SharedEngine::open(segment.engine, device, folders, segment.inputs, segment.outputs);
  }
  known[key] = opened;
  return opened;
}

SegmentEngines::SegmentEngines(Segment segment, int device, std::vector<std::string> folders)
    : segment_(std::move(segment)), device_(device), folders_(std::move(folders)) {}

SegmentEngines::Begun SegmentEngines::begin(void* stream, std::vector<Shape> const& shapes, bool must_run,
                                            bool& built) {
  // An engine that takes the shapes is the one to use, and one that may not be joined by others the only one.
  bool const ahead = ahead_ && (segment_.onnx.empty() || ahead_->takes(shapes));
  auto engine = ahead ? ahead_ : find_or_build(shapes, must_run, built);
  auto& slot = engine->begin(stream, shapes);
  return {std::move(engine), &slot};
}

std::shared_ptr<SharedEngine> SegmentEngines::find_or_build(Shapes const& shapes, bool must_run, bool& built) {
  if (segment_.onnx.empty()) throw NoFit("it has no engine");
  if (auto engine = claim(shapes, must_run)) return engine;
  std::shared_ptr<SharedEngine> engine;
  std::string reason;
  try {
    engine = build(shapes);
  } catch (std::exception const& error) {
    reason = error.what();
  } catch (...) {
    reason = "an unknown error";
  }
  std::list<Kept> gone;  // destroyed without the lock: that may wait for the GPU
  {
    std::scoped_lock const lock(mutex_);
    under_way_.erase(shapes);
    if (engine) {
      kept_.emplace_front(shapes, engine);
      while (kept_.size() > segment_.most_built) gone.splice(gone.end(), kept_, std::prev(kept_.end()));
    } else {
      failures_.emplace(shapes, "no engine could be built for " + text_of(segment_.inputs, shapes) + ": " + reason);
      reason = failures_.at(shapes);
    }
  }
  settled_.notify_all();
  if (!engine) throw NoFit(reason);
  built = true;
  return engine;
}

std::shared_ptr<SharedEngine> SegmentEngines::claim(Shapes const& shapes, bool must_run) {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto const found = std::find_if(kept_.begin(), kept_.end(), [&](Kept const& each) { return each.first == shapes; });
    if (found != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, found);
      return kept_.front().second;
    }
    if (auto const failure = failures_.find(shapes); failure != failures_.end()) throw NoFit(failure->second);
    if (std::any_of(shapes.begin(), shapes.end(), is_empty)) {
      throw NoFit("no engine is built for empty tensors: " + text_of(segment_.inputs, shapes));
    }
    if (failures_.size() >= kMostFailures) {
      throw NoFit("no more engines are built for it: " + std::to_string(kMostFailures) + " builds have failed");
    }
    if (under_way_.insert(shapes).second) return nullptr;
    if (!must_run) throw NoFit("the engine for " + text_of(segment_.inputs, shapes) + " is being built");
    settled_.wait(lock);
  }
}

std::shared_ptr<SharedEngine> SegmentEngines::build(Shapes const& shapes) {
  std::scoped_lock const lock(one_build());
  cuda::ContextGuard const guard(cuda::primary_context(device_));
  Library const library = Library::find(folders_, true);
  if (library.generation() != segment_.generation) {
    throw Error(ErrorKind::kLibrary, segment_.onnx + " was made for another TensorRT",
                {library.version_text(), "TensorRT " + std::to_string(segment_.generation), "convert the model again"});
  }
  BuilderOptions options = segment_.options;
  Profile profile;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (!shapes[i].empty()) profile[segment_.inputs[i].name] = {shapes[i], shapes[i], shapes[i]};
  }
  options.profiles = {profile};
  if (!segment_.calibration.empty() && !library.strongly_typed()) {
    MappedFile const scales(segment_.calibration);
    auto const* const bytes = static_cast<char const*>(scales.data());
    options.calibration.emplace();
    options.calibration->method = CalibrationMethod::kMinMax;
    options.calibration->cache.assign(bytes, bytes + scales.size());
  }
  if (library.strongly_typed()) {  // the graph has the types; there is but one flag, TF32
    if (options.precision == Precision::kInt8) options.precision = Precision::kFp32;
    if (options.precision == Precision::kInt8Fp16) options.precision = Precision::kFp16;
  }
  BuildResult result = tf2trt::build(library, segment_.onnx, options);
  segment_.options.timing_cache = std::move(result.timing_cache);  // the next shapes' kernels are mostly the same
  return SharedEngine::of(Engine::deserialize(library, result.data(), result.size(), device_), segment_.inputs,
                          segment_.outputs);
}

}  // namespace tf2trt::hybrid
