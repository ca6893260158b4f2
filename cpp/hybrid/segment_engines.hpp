// The engines of a segment: the one that lies beside the graph, and those that are built as other shapes come.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shared_engine.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt::hybrid {

// What a segment is, and what its engines come from.
struct Segment {
  std::string engine;          // the plan's path; "" where there is none
  std::string onnx;            // the file to build from for other shapes; "" where nothing is built
  std::string calibration;     // a cache of TensorRT's minmax calibrator; "" where there is none
  BuilderOptions options;      // for that, without profiles
  int generation = 0;          // of the TensorRT that the file was made for
  std::size_t most_built = 1;  // engines that were built here and are kept
  std::vector<Binding> inputs;
  std::vector<Binding> outputs;
};

class SegmentEngines {
 public:
  struct Begun {
    std::shared_ptr<SharedEngine> engine;
    SharedEngine::Slot* slot = nullptr;  // to be given back by engine->end
  };

  // Opens the engine that there is, on the GPU of number `device`. The same segment is open once. `folders` is where
  // TensorRT is looked for. Throws Error.
  static std::shared_ptr<SegmentEngines> open(Segment const& segment, int device,
                                              std::vector<std::string> const& folders);
  SegmentEngines(SegmentEngines const&) = delete;
  SegmentEngines& operator=(SegmentEngines const&) = delete;
  SegmentEngines(SegmentEngines&&) = delete;
  SegmentEngines& operator=(SegmentEngines&&) = delete;
  ~SegmentEngines() = default;

  [[nodiscard]] std::size_t input_count() const noexcept { return segment_.inputs.size(); }

  // Begins a run on the engine for these shapes of the inputs. Where there is none and it may be built, the call builds
  // it, which takes seconds to minutes, and `built` becomes true; builds of this process come one after the other,
  // since each of them times kernels. While another thread builds for the same shapes the call throws NoFit, or waits
  // for it where it `must_run`. A build that failed is not tried again. Throws NoFit, Error.
  Begun begin(void* stream, std::vector<Shape> const& shapes, bool must_run, bool& built);

 private:
  using Shapes = std::vector<Shape>;
  using Kept = std::pair<Shapes, std::shared_ptr<SharedEngine>>;

  SegmentEngines(Segment segment, int device, std::vector<std::string> folders);
  std::shared_ptr<SharedEngine> find_or_build(Shapes const& shapes, bool must_run, bool& built);
  // The engine of the shapes, or nullptr where it has to be built: then no other thread builds it from now on. Throws
  // NoFit.
  std::shared_ptr<SharedEngine> claim(Shapes const& shapes, bool must_run);
  std::shared_ptr<SharedEngine> build(Shapes const& shapes);

  Segment segment_;
  int device_;
  std::vector<std::string> folders_;
  std::shared_ptr<SharedEngine> ahead_;  // built when the model was converted

  std::mutex mutex_;
  std::condition_variable settled_;         // a build ended
  std::list<Kept> kept_;                    // the one used last comes first
  std::set<Shapes> under_way_;              // being built
  std::map<Shapes, std::string> failures_;  // why there is no engine for them
};

}  // namespace tf2trt::hybrid
