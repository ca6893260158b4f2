// An engine of a segment, for any number of threads and streams that are somebody else's.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tf2trt/buffer.hpp"
#include "tf2trt/engine.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt::hybrid {

// The engine was not built for what is asked of it.
class NoFit : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A tensor as the segment has it.
struct Binding {
  std::string name;
  std::string dtype;  // name_of's
};

class SharedEngine {
 public:
  // An execution context that is ready for one stream and one set of shapes. Held by one thread at a time.
  struct Slot {
    Slot(Engine const& engine, void* on) : context(engine.create_context_without_memory()), stream(on) {}

    ExecutionContext context;
    void* stream;
    Event queued{false};  // the end of the work that was queued last
    bool worked = false;  // whether there was any; choosing a profile is work too
    int profile = -1;     // none was chosen
    int wanted = -1;      // the one that takes `inputs`
    std::vector<Shape> inputs;
    std::vector<Shape> outputs;
    bool ready = false;  // the context has these shapes
    bool busy = true;
    std::uint64_t used = 0;  // when, in calls of begin
  };

  // As tf2trt_hybrid_open. Throws Error.
  static std::shared_ptr<SharedEngine> open(std::string const& path, int device,
                                            std::vector<std::string> const& folders, std::vector<Binding> const& inputs,
                                            std::vector<Binding> const& outputs);
  // Of an engine that is there already. Throws Error where its tensors are not those given.
  static std::shared_ptr<SharedEngine> of(Engine engine, std::vector<Binding> const& inputs,
                                          std::vector<Binding> const& outputs);
  ~SharedEngine();
  SharedEngine(SharedEngine const&) = delete;
  SharedEngine& operator=(SharedEngine const&) = delete;
  SharedEngine(SharedEngine&&) = delete;
  SharedEngine& operator=(SharedEngine&&) = delete;

  [[nodiscard]] std::size_t input_count() const noexcept { return inputs_.size(); }
  [[nodiscard]] std::size_t output_count() const noexcept { return outputs_.size(); }

  // Whether it was built for these shapes of the inputs.
  [[nodiscard]] bool takes(std::vector<Shape> const& shapes) const;
  // The slot is the caller's until `end`. Throws NoFit, Error.
  Slot& begin(void* stream, std::vector<Shape> const& shapes);
  // Device memory that enqueue needs for the time of its work.
  [[nodiscard]] std::size_t scratch_size() const noexcept { return scratch_size_; }
  // Throws NoFit before anything is queued; Error.
  void enqueue(Slot& slot, void const* const* inputs, void* const* outputs, void* scratch);
  void end(Slot& slot) noexcept;

 private:
  SharedEngine(Engine engine, std::vector<Binding> const& inputs, std::vector<Binding> const& outputs);
  // The profile that takes the shapes; 0 where the engine is static.
  [[nodiscard]] std::optional<int> find_profile(std::vector<Shape> const& shapes) const;
  // What it takes, beside what was asked of it.
  [[nodiscard]] std::string misfit(std::vector<Shape> const& shapes) const;
  // A slot of the stream, marked busy: one of these shapes, else a new one, else the one that was not used for longest,
  // of the same profile where there is one.
  Slot& take(void* stream, int profile, std::vector<Shape> const& shapes);
  void prepare(Slot& slot, int profile, std::vector<Shape> const& shapes);
  // Takes a slot away that has not queued anything.
  void drop(Slot& slot) noexcept;
  // Whether the slots that the stream has can do without another one from now on.
  bool settle_for_fewer(void* stream);

  Engine engine_;
  std::vector<std::string> inputs_;
  std::vector<std::string> outputs_;
  std::vector<std::vector<ShapeRange>> profiles_;  // by profile, then by input; empty for a static engine
  std::unique_ptr<DeviceBuffer> nothing_;          // the address of tensors without elements

  std::size_t scratch_size_;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::list<Slot> slots_;
  std::size_t per_stream_;
  std::uint64_t clock_ = 0;
};

}  // namespace tf2trt::hybrid
