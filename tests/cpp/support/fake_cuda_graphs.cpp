// The fake CUDA driver: captures and graphs, and what tests ask for. Names and signatures are those of cuda.h.
#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "support/fake_cuda.hpp"
#include "support/fake_cuda_world.hpp"

using namespace fake_cuda;  // NOLINT(google-build-using-namespace): these are the namespace's way out

namespace {

Graph* find(std::map<Handle, Graph>& graphs, Handle handle, Handle context, int& code) {
  auto const found = graphs.find(handle);
  if (found == graphs.end()) {
    code = world().refuse(kInvalidHandle, "a graph that does not exist, or no more");
  } else if (found->second.context != context) {
    code = world().refuse(kInvalidHandle, "a graph of another context than the current one");
  } else {
    return &found->second;
  }
  return nullptr;
}

}  // namespace

extern "C" {

int cuStreamBeginCapture_v2(Handle stream, int mode) {
  return call("cuStreamBeginCapture_v2", kCurrent, [&](Handle context) -> int {
    World& w = world();
    bool const usual = reinterpret_cast<std::uintptr_t>(stream) <= 1;
    int code = kSuccess;
    Stream* s = w.stream(stream, context, code);
    if (s == nullptr) return code;
    if (usual) return w.refuse(kCaptureUnsupported, "a capture of the default stream");
    if (s->capture != nullptr) return w.refuse(kInvalidValue, "a capture begun in a stream that is capturing");
    if (mode < 0 || mode > 2) return w.refuse(kInvalidValue, "an unknown capture mode");
    s->capture = std::make_shared<Capture>();
    s->capture->origin = stream;
    s->capture->mode = mode;
    s->capture->thread = std::this_thread::get_id();
    s->capture->members[stream];
    w.captures.push_back(s->capture);
    return kSuccess;
  });
}

int cuStreamEndCapture(Handle stream, Handle* graph) {
  return call("cuStreamEndCapture", kCurrent, [&](Handle context) -> int {
    constexpr int kRelaxed = 2;
    World& w = world();
    *graph = nullptr;
    int code = kSuccess;
    Stream* s = w.stream(stream, context, code);
    if (s == nullptr) return code;
    auto const capture = s->capture;
    if (capture == nullptr) return w.refuse(kInvalidValue, "a capture ended where none was begun");
    if (capture->origin != stream) return w.refuse(kCaptureUnmatched, "a capture ended in another stream");
    if (capture->mode != kRelaxed && capture->thread != std::this_thread::get_id()) {
      return w.refuse(kCaptureWrongThread, "a capture ended by another thread than began it");
    }
    for (auto const& member : capture->members) w.streams[member.first].capture = nullptr;
    w.captures.erase(std::remove(w.captures.begin(), w.captures.end(), capture), w.captures.end());
    if (capture->broken) return kCaptureInvalidated;
    if (std::any_of(capture->members.begin(), capture->members.end(), [](auto& m) { return !m.second.joined; })) {
      return w.refuse(kCaptureUnjoined, "a capture ended before its first stream waits for all of the others");
    }
    ++w.counts["captures"];
    *graph = w.new_handle();
    w.graphs[*graph] = {context, capture->nodes};
    return kSuccess;
  });
}

int cuStreamIsCapturing(Handle stream, int* status) {
  return call("cuStreamIsCapturing", kMayLackCurrent, [&](Handle context) {
    int code = kSuccess;
    Stream const* s = world().stream(stream, context, code);
    if (s != nullptr) *status = s->capture == nullptr ? 0 : s->capture->broken ? 2 : 1;
    return code;
  });
}

int cuGraphInstantiateWithFlags(Handle* exec, Handle graph, unsigned long long /*flags*/) {
  return call("cuGraphInstantiateWithFlags", kCurrent, [&](Handle context) {
    int code = kSuccess;
    Graph const* g = find(world().graphs, graph, context, code);
    if (g == nullptr) return code;
    *exec = world().new_handle();
    world().execs[*exec] = *g;
    return code;
  });
}

int cuGraphLaunch(Handle exec, Handle stream) {
  return call("cuGraphLaunch", kCurrent, [&](Handle context) {
    World& w = world();
    int code = kSuccess;
    Graph const* g = find(w.execs, exec, context, code);
    if (g == nullptr) return code;
    Stream const* s = w.stream(stream, context, code);
    if (s == nullptr) return code;
    for (auto const& node : g->nodes) {
      for (auto const& memory : node.memory) {
        if (!memory->alive) return w.refuse(kIllegalAddress, "a graph launched after memory that it uses was freed");
      }
    }
    ++w.counts["graph_launches"];
    for (auto const& node : g->nodes) {
      if (code = w.add(stream, node); code != kSuccess) return code;
    }
    return code;
  });
}

int cuGraphExecDestroy(Handle exec) {
  return call("cuGraphExecDestroy", kCurrent, [&](Handle context) {
    int code = kSuccess;
    if (find(world().execs, exec, context, code) != nullptr) world().execs.erase(exec);
    return code;
  });
}

int cuGraphDestroy(Handle graph) {
  return call("cuGraphDestroy", kCurrent, [&](Handle context) {
    int code = kSuccess;
    if (find(world().graphs, graph, context, code) != nullptr) world().graphs.erase(graph);
    return code;
  });
}

long long fake_cuda_count(char const* name) {
  World& w = world();
  std::scoped_lock const lock(w.mutex);
  std::string const which(name);
  std::size_t pending = 0;
  std::size_t usual = 0;  // default streams are nobody's to destroy
  for (auto const& entry : w.streams) pending += entry.second.queue.size();
  for (auto const& entry : w.contexts) {
    usual += (entry.second.legacy_stream != nullptr ? 1 : 0) + (entry.second.thread_stream != nullptr ? 1 : 0);
  }
  std::map<std::string, std::size_t> const live{{"streams", w.streams.size() - usual}, {"events", w.events.size()},
                                                {"graphs", w.graphs.size()},           {"graph_execs", w.execs.size()},
                                                {"contexts", w.contexts.size()},       {"pending", pending}};
  if (auto const found = live.find(which); found != live.end()) return static_cast<long long>(found->second);
  static std::set<std::string> const known{
      "device_bytes", "pinned_bytes",     "device_allocations", "pinned_allocations", "h2d_copies",
      "h2d_bytes",    "d2h_copies",       "d2h_bytes",          "d2d_copies",         "d2d_bytes",
      "kernels",      "queries",          "pageable_copies",    "graph_launches",     "captures",
      "violations",   "synchronizations", "without_context"};
  return known.count(which) == 0 ? -1 : w.counts[which];
}

char const* fake_cuda_last_violation() {
  thread_local std::string text;
  std::scoped_lock const lock(world().mutex);
  text = world().last_violation;
  return text.c_str();
}

void fake_cuda_reset() {
  World& w = world();
  std::scoped_lock const lock(w.mutex);
  for (auto& [name, count] : w.counts) {
    bool const live = name == "device_bytes" || name == "pinned_bytes" || name == "device_allocations" ||
                      name == "pinned_allocations";
    if (!live) count = 0;
  }
  w.last_violation.clear();
  World const fresh;
  w.settings = fresh.settings;
  w.fails = fresh.fails;
}

bool fake_cuda_set(char const* name, long long value) {
  std::scoped_lock const lock(world().mutex);
  auto const found = world().settings.find(name);
  if (found != world().settings.end()) found->second = value;
  return found != world().settings.end();
}

void fake_cuda_fail(char const* function, int nth, int code) {
  std::scoped_lock const lock(world().mutex);
  world().fails[function].push_back({nth, code});
}

int fake_cuda_enqueue(Handle stream, void (*kernel)(void*), void* argument, void (*release)(void*),
                      FakeCudaRange const* ranges, std::size_t count) {
  std::shared_ptr<void> const kept(argument, release);
  return call("fake_cuda_enqueue", kCurrent, [&](Handle context) {
    World& w = world();
    int code = kSuccess;
    if (w.stream(stream, context, code) == nullptr) return code;
    Work work;
    for (std::size_t i = 0; i < count; ++i) {
      auto memory = w.on_device(ranges[i].address, ranges[i].bytes, context, code);
      if (memory == nullptr) return code;
      work.memory.push_back(std::move(memory));
    }
    work.run = [kernel, kept] {
      ++world().counts["kernels"];
      kernel(kept.get());
    };
    return w.add(stream, std::move(work));
  });
}

void* fake_cuda_storage(unsigned long long address, std::size_t bytes) {
  World& w = world();
  std::scoped_lock const lock(w.mutex);
  auto found = w.by_device.upper_bound(address);
  if (found != w.by_device.begin()) {
    Memory const& memory = *std::prev(found)->second;
    auto const offset = address - memory.device;
    if (memory.alive && offset + bytes <= memory.size) return memory.storage + offset;
  }
  w.refuse(kIllegalAddress, "a kernel touches what is not allocated");
  return nullptr;
}

bool fake_cuda_is_primary(Handle context) {
  std::scoped_lock const lock(world().mutex);
  auto const& all = world().primary;
  return std::any_of(all.begin(), all.end(), [&](auto& each) { return each.second == context; });
}

void fake_cuda_violation(char const* text) {
  std::scoped_lock const lock(world().mutex);
  world().refuse(kInvalidValue, text);
}

}  // extern "C"
