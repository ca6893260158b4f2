// The fake CUDA driver: streams, copies and events. Names and signatures are those of cuda.h.
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_cuda_world.hpp"

using namespace fake_cuda;  // NOLINT(google-build-using-namespace): these are the namespace's way out

namespace {

constexpr unsigned kDisableTiming = 2;  // CU_EVENT_DISABLE_TIMING

std::byte* at(MemoryPtr const& memory, DevicePtr address) { return memory->storage + (address - memory->device); }

// Counts a copy where it runs.
void copy(std::byte* to, std::byte const* from, std::size_t bytes, std::string const& kind) {
  std::memcpy(to, from, bytes);
  ++world().counts[kind + "_copies"];
  world().counts[kind + "_bytes"] += static_cast<long long>(bytes);
}

int query(bool done, int& queries) {
  ++world().counts["queries"];
  if (done) return kSuccess;
  return queries++ < world().settings["delay"] ? kNotReady : kSuccess;
}

// Waiting for a stream that captures is no mistake to be guessed at: it breaks the capture, whatever the thread.
int waits_for_capture(Stream& s) {
  if (s.capture == nullptr) return kSuccess;
  s.capture->broken = true;
  return world().refuse(kCaptureUnsupported, "waited for a stream that is capturing");
}

}  // namespace

extern "C" {

int cuStreamCreate(Handle* stream, unsigned /*flags*/) {
  return call("cuStreamCreate", kCurrent, [&](Handle context) {
    *stream = world().new_handle();
    world().streams[*stream].context = context;
    return kSuccess;
  });
}

int cuStreamDestroy_v2(Handle stream) {
  return call("cuStreamDestroy_v2", kCurrent, [&](Handle context) -> int {
    int code = kSuccess;
    Stream const* s = world().stream(stream, context, code);
    if (s == nullptr) return code;
    if (s->capture != nullptr) return world().refuse(kCaptureUnsupported, "a stream destroyed while it is capturing");
    if (!s->queue.empty()) return world().refuse(kInvalidValue, "a stream destroyed with work that has not run");
    world().streams.erase(stream);
    return kSuccess;
  });
}

int cuStreamSynchronize(Handle stream) {
  return call("cuStreamSynchronize", kMayLackCurrent | kUnsafe, [&](Handle context) {
    int code = kSuccess;
    Stream* s = world().stream(stream, context, code);
    if (s == nullptr) return code;
    if (code = waits_for_capture(*s); code != kSuccess) return code;
    ++world().counts["synchronizations"];
    world().run(*s, nullptr);
    return code;
  });
}

int cuStreamQuery(Handle stream) {
  return call("cuStreamQuery", kMayLackCurrent | kUnsafe, [&](Handle context) {
    int code = kSuccess;
    Stream* s = world().stream(stream, context, code);
    if (s == nullptr) return code;
    if (code = waits_for_capture(*s); code != kSuccess) return code;
    code = query(s->queue.empty(), s->queries);
    if (code == kSuccess) world().run(*s, nullptr);
    return code;
  });
}

int cuCtxSynchronize() {
  return call("cuCtxSynchronize", kCurrent | kUnsafe, [](Handle context) {
    ++world().counts["synchronizations"];
    for (auto& entry : world().streams) {
      if (entry.second.context == context) world().run(entry.second, nullptr);
    }
    return kSuccess;
  });
}

int cuStreamWaitEvent(Handle stream, Handle event, unsigned flags) {
  return call("cuStreamWaitEvent", kCurrent, [&](Handle context) -> int {
    int code = kSuccess;
    Stream* s = world().stream(stream, context, code);
    if (s == nullptr) return code;
    Event* e = world().event(event, context, code);
    if (e == nullptr) return code;
    if (flags != 0) return world().refuse(kInvalidValue, "flags of cuStreamWaitEvent have no fake");
    if (e->captured) {
      auto const capture = e->capture.lock();
      if (capture == nullptr) return world().refuse(kCapturedEvent, "an event recorded in a capture that has ended");
      if (capture->broken) return kCaptureInvalidated;
      if (s->capture != nullptr && s->capture != capture) {
        return world().refuse(kCaptureMerge, "an event of one capture waited for in another");
      }
      s->capture = capture;
      auto& source = capture->members[e->captured_stream];
      if (stream != e->captured_stream && source.count == e->captured_count) source.joined = true;
      auto& member = capture->members[stream];
      ++member.count;  // what it waits for has to be waited for in its turn
      member.joined = stream == capture->origin;
      return kSuccess;
    }
    if (s->capture != nullptr) {
      s->capture->broken = true;
      return world().refuse(kCaptureIsolation, "a capturing stream made to wait for work outside the capture");
    }
    if (e->record == nullptr || e->record->done) return kSuccess;
    Work work;
    work.waits = e->record;
    return world().add(stream, std::move(work));
  });
}

int cuMemcpyHtoDAsync_v2(DevicePtr to, void const* from, std::size_t bytes, Handle stream) {
  return call("cuMemcpyHtoDAsync_v2", kCurrent, [&](Handle context) {
    World& w = world();
    int code = kSuccess;
    Stream const* s = w.stream(stream, context, code);
    if (s == nullptr || bytes == 0) return code;
    auto const device = w.on_device(to, bytes, context, code);
    if (device == nullptr) return code;
    auto const host = w.on_host(from, bytes, context, code);
    if (code != kSuccess) return code;
    Work work;
    work.memory = {device};
    auto const* source = static_cast<std::byte const*>(from);
    std::vector<std::byte> staged;
    if (host != nullptr) {
      work.memory.push_back(host);
    } else {
      ++w.counts["pageable_copies"];
      // CUDA has taken the bytes out of pageable memory when it returns; a graph reads them at each launch.
      if (s->capture == nullptr) staged.assign(source, source + bytes);
    }
    auto* const target = at(device, to);
    work.run = [target, source, bytes, staged = std::move(staged)] {
      copy(target, staged.empty() ? source : staged.data(), bytes, "h2d");
    };
    return w.add(stream, std::move(work));
  });
}

int cuMemcpyDtoHAsync_v2(void* to, DevicePtr from, std::size_t bytes, Handle stream) {
  return call("cuMemcpyDtoHAsync_v2", kCurrent, [&](Handle context) {
    World& w = world();
    int code = kSuccess;
    Stream* s = w.stream(stream, context, code);
    if (s == nullptr || bytes == 0) return code;
    auto const device = w.on_device(from, bytes, context, code);
    if (device == nullptr) return code;
    auto const host = w.on_host(to, bytes, context, code);
    if (code != kSuccess) return code;
    Work work;
    work.memory = {device};
    if (host != nullptr) work.memory.push_back(host);
    auto const* const source = at(device, from);
    work.run = [to, source, bytes] { copy(static_cast<std::byte*>(to), source, bytes, "d2h"); };
    code = w.add(stream, std::move(work));
    if (host == nullptr) {
      ++w.counts["pageable_copies"];
      if (s->capture == nullptr) w.run(*s, nullptr);  // CUDA returns only when pageable memory is filled
    }
    return code;
  });
}

int cuMemcpyDtoDAsync_v2(DevicePtr to, DevicePtr from, std::size_t bytes, Handle stream) {
  return call("cuMemcpyDtoDAsync_v2", kCurrent, [&](Handle context) {
    World& w = world();
    int code = kSuccess;
    Stream const* s = w.stream(stream, context, code);
    if (s == nullptr || bytes == 0) return code;
    auto const target = w.on_device(to, bytes, context, code);
    if (target == nullptr) return code;
    auto const source = w.on_device(from, bytes, context, code);
    if (source == nullptr) return code;
    Work work;
    work.memory = {target, source};
    work.run = [to = at(target, to), from = at(source, from), bytes] { copy(to, from, bytes, "d2d"); };
    return w.add(stream, std::move(work));
  });
}

int cuEventCreate(Handle* event, unsigned flags) {
  return call("cuEventCreate", kCurrent, [&](Handle context) {
    *event = world().new_handle();
    world().events[*event].context = context;
    world().events[*event].timed = (flags & kDisableTiming) == 0;
    return kSuccess;
  });
}

int cuEventDestroy_v2(Handle event) {
  return call("cuEventDestroy_v2", kCurrent, [&](Handle context) {
    int code = kSuccess;
    if (world().event(event, context, code) != nullptr) world().events.erase(event);
    return code;
  });
}

int cuEventRecord(Handle event, Handle stream) {
  return call("cuEventRecord", kCurrent, [&](Handle context) -> int {
    int code = kSuccess;
    Event* e = world().event(event, context, code);
    if (e == nullptr) return code;
    Stream* s = world().stream(stream, context, code);
    if (s == nullptr) return code;
    e->captured = s->capture != nullptr;
    if (e->captured) {
      if (s->capture->broken) return kCaptureInvalidated;
      e->capture = s->capture;
      e->captured_stream = stream;
      e->captured_count = s->capture->members[stream].count;
      return kSuccess;
    }
    Work work;
    work.records = e->record = std::make_shared<Record>();
    e->record->stream = stream;
    return world().add(stream, std::move(work));
  });
}

int cuEventSynchronize(Handle event) {
  return call("cuEventSynchronize", kMayLackCurrent | kUnsafe, [&](Handle context) -> int {
    int code = kSuccess;
    Event const* e = world().event(event, context, code);
    if (e == nullptr) return code;
    if (e->captured) return world().refuse(kCapturedEvent, "waited for an event that was recorded in a capture");
    ++world().counts["synchronizations"];
    auto const record = e->record;
    if (record != nullptr && !record->done) world().run(world().streams[record->stream], record.get());
    return kSuccess;
  });
}

int cuEventQuery(Handle event) {
  return call("cuEventQuery", kMayLackCurrent | kUnsafe, [&](Handle context) -> int {
    int code = kSuccess;
    Event const* e = world().event(event, context, code);
    if (e == nullptr) return code;
    if (e->captured) return world().refuse(kCapturedEvent, "asked for an event that was recorded in a capture");
    auto const record = e->record;
    if (record == nullptr) return kSuccess;
    code = query(record->done, record->queries);
    if (code == kSuccess && !record->done) world().run(world().streams[record->stream], record.get());
    return code;
  });
}

int cuEventElapsedTime(float* milliseconds, Handle start, Handle stop) {
  return call("cuEventElapsedTime", kMayLackCurrent, [&](Handle context) -> int {
    int code = kSuccess;
    Event const* first = world().event(start, context, code);
    if (first == nullptr) return code;
    Event const* last = world().event(stop, context, code);
    if (last == nullptr) return code;
    if (!first->timed || !last->timed || first->record == nullptr || last->record == nullptr || first->captured ||
        last->captured) {
      return world().refuse(kInvalidHandle, "the time between events that were not recorded, or not to be timed");
    }
    if (!first->record->done || !last->record->done) return kNotReady;
    *milliseconds = static_cast<float>(last->record->time - first->record->time);
    return kSuccess;
  });
}

}  // extern "C"
