// The fake CUDA driver: memory, deferred work, and what is refused.
#include "support/fake_cuda_world.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

namespace fake_cuda {
namespace {

constexpr unsigned char kPattern = 0xCD;  // what fresh memory holds
constexpr std::size_t kGap = 4096;        // between allocations, so that a step past one meets no other
constexpr std::size_t kKept = 4096;       // freed allocations that are still known
// Addresses that no process can have: to follow one on the host is a crash.
constexpr DevicePtr kDeviceBase = 0x00d0'0000'0000'0000;
constexpr DevicePtr kMappedBase = 0x00e0'0000'0000'0000;
constexpr double kMicrosecond = 0.001;
constexpr int kSpent = -1;  // a failure that has happened

void read_failures(World& w, char const* text) {
  std::istringstream entries(text);
  for (std::string entry; std::getline(entries, entry, ',');) {
    auto const first = entry.find(':');
    auto const second = entry.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      std::fprintf(stderr, "TF2TRT_FAKE_CUDA_FAIL: \"%s\" is not FUNCTION:NTH:CODE\n", entry.c_str());
      std::abort();
    }
    w.fails[entry.substr(0, first)].push_back(
        {std::stoi(entry.substr(first + 1)), std::stoi(entry.substr(second + 1))});
  }
}

std::string hexadecimal(DevicePtr address) {
  std::ostringstream text;
  text << "0x" << std::hex << address;
  return text.str();
}

// The allocation that starts last at or before `address`.
template <class Map>
MemoryPtr at_or_before(Map const& map, typename Map::key_type address) {
  auto found = map.upper_bound(address);
  if (found == map.begin()) return nullptr;
  return std::prev(found)->second;
}

}  // namespace

World::World() : next_device_(kDeviceBase), next_mapped_(kMappedBase) {
  for (auto const& [name, usual] : std::map<std::string, long long>{
           {"FREE", 7LL << 30}, {"TOTAL", 8LL << 30}, {"INTEGRATED", 0}, {"DEVICES", 1}, {"DELAY", 1}}) {
    char const* value = std::getenv(("TF2TRT_FAKE_CUDA_" + name).c_str());
    std::string key = name;
    std::transform(key.begin(), key.end(), key.begin(), [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    settings[key] = value == nullptr ? usual : std::strtoll(value, nullptr, 0);
  }
  if (char const* fail = std::getenv("TF2TRT_FAKE_CUDA_FAIL")) read_failures(*this, fail);
}

World& world() {
  static auto* const once = new World;  // never destroyed: objects are given back while the process ends
  return *once;
}

std::vector<Handle>& stack() {
  thread_local std::vector<Handle> contexts;
  return contexts;
}

int World::refuse(int code, std::string const& text) {
  ++counts["violations"];
  last_violation = text;
  char const* stop = std::getenv("TF2TRT_FAKE_CUDA_ABORT");
  if (stop != nullptr && *stop == '1') {
    std::fprintf(stderr, "fake CUDA: %s\n", text.c_str());
    std::abort();
  }
  return code;
}

int before(char const* function, unsigned needs, Handle& context) {
  World& w = world();
  std::string const name(function);
  if (needs != kNothing && !w.initialized) return w.refuse(kNotInitialized, name + " before cuInit");
  for (auto& failure : w.fails[name]) {
    if (failure.nth == kSpent) continue;
    if (failure.nth > 1) {
      --failure.nth;
      continue;
    }
    if (failure.nth == 1) failure.nth = kSpent;
    return failure.code;
  }
  context = stack().empty() ? nullptr : stack().back();
  if (context == nullptr && (needs & kCurrent) != 0) {
    return w.refuse(kInvalidContext, name + " without a current context");
  }
  if (context == nullptr && (needs & kMayLackCurrent) != 0) ++w.counts["without_context"];
  if (context != nullptr && w.contexts.count(context) == 0 && (needs & (kCurrent | kMayLackCurrent)) != 0) {
    return w.refuse(kContextIsDestroyed, name + " with a current context that is destroyed");
  }
  if ((needs & kUnsafe) != 0) return w.unsafe_call(function);
  return kSuccess;
}

Stream* World::stream(Handle& handle, Handle context, int& code) {
  auto const number = reinterpret_cast<std::uintptr_t>(handle);
  if (number <= 2) {  // the default streams
    if (context == nullptr) {
      code = refuse(kInvalidContext, "the default stream without a current context");
      return nullptr;
    }
    Handle& usual = number == 2 ? contexts[context].thread_stream : contexts[context].legacy_stream;
    if (usual == nullptr) {
      usual = new_handle();
      streams[usual].context = context;
    }
    handle = usual;
  }
  auto const found = streams.find(handle);
  if (found == streams.end()) {
    code = refuse(kInvalidHandle, "a stream that does not exist, or no more");
    return nullptr;
  }
  if (context != nullptr && found->second.context != context) {
    code = refuse(kInvalidHandle, "a stream of another context than the current one");
    return nullptr;
  }
  return &found->second;
}

Event* World::event(Handle handle, Handle context, int& code) {
  auto const found = events.find(handle);
  if (found == events.end()) {
    code = refuse(kInvalidHandle, "an event that does not exist, or no more");
    return nullptr;
  }
  if (context != nullptr && found->second.context != context) {
    code = refuse(kInvalidHandle, "an event of another context than the current one");
    return nullptr;
  }
  return &found->second;
}

MemoryPtr World::on_device(DevicePtr address, std::size_t bytes, Handle context, int& code) {
  auto memory = at_or_before(by_device, address);
  std::string const what = "device address " + hexadecimal(address) + ", " + std::to_string(bytes) + " bytes: ";
  if (memory == nullptr || address - memory->device >= memory->size + kGap) {
    code = refuse(kInvalidValue, what + "was never allocated on the device");
  } else if (!memory->alive) {
    code = refuse(kInvalidValue, what + "used after it was freed");
  } else if (address - memory->device + bytes > memory->size) {
    code = refuse(kInvalidValue, what + "past the end of an allocation of " + std::to_string(memory->size));
  } else if (memory->context != context) {
    code = refuse(kInvalidValue, what + "of another context than the one that uses it");
  } else {
    return memory;
  }
  return nullptr;
}

MemoryPtr World::on_host(void const* address, std::size_t bytes, Handle context, int& code) {
  code = kSuccess;
  auto const number = reinterpret_cast<std::uintptr_t>(address);
  if (address == nullptr || number >= kDeviceBase) {
    code = refuse(kInvalidValue, "host address " + hexadecimal(number) + ": not one of the host");
    return nullptr;
  }
  auto memory = at_or_before(by_host, number);
  if (memory == nullptr) return nullptr;
  auto const offset = number - reinterpret_cast<std::uintptr_t>(memory->storage);
  if (offset >= memory->size) return nullptr;
  if (!memory->alive) {
    code = refuse(kInvalidValue, "pinned memory used after it was freed");
  } else if (offset + bytes > memory->size) {
    code = refuse(kInvalidValue, "past the end of a pinned allocation of " + std::to_string(memory->size) + " bytes");
  } else if (memory->context != context) {
    code = refuse(kInvalidValue, "pinned memory of another context than the one that uses it");
  } else {
    return memory;
  }
  return nullptr;
}

int World::allocate(Handle context, std::size_t bytes, bool on_host, bool mapped, MemoryPtr& memory) {
  if (bytes == 0) return refuse(kInvalidValue, "an allocation of no bytes");
  auto const room = settings["free"] - counts["device_bytes"];
  if (!on_host && (room < 0 || bytes > static_cast<std::size_t>(room))) return kOutOfMemory;
  memory = std::make_shared<Memory>();
  memory->size = bytes;
  memory->on_host = on_host;
  memory->context = context;
  if (on_host) {
    void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return kOutOfMemory;
    memory->storage = static_cast<std::byte*>(pages);
    by_host[reinterpret_cast<std::uintptr_t>(pages)] = memory;
  } else {
    memory->storage = static_cast<std::byte*>(std::malloc(bytes));
    if (memory->storage == nullptr) return kOutOfMemory;
  }
  std::memset(memory->storage, kPattern, bytes);
  if (!on_host || mapped) {
    DevicePtr& next = on_host ? next_mapped_ : next_device_;
    memory->device = next;
    next += (bytes + 2 * kGap - 1) / kGap * kGap;
    by_device[memory->device] = memory;
  }
  counts[on_host ? "pinned_bytes" : "device_bytes"] += static_cast<long long>(bytes);
  ++counts[on_host ? "pinned_allocations" : "device_allocations"];
  return kSuccess;
}

int World::free(MemoryPtr const& memory, Handle context) {
  if (!memory->alive) return refuse(kInvalidValue, "memory freed twice");
  if (memory->context != context) return refuse(kInvalidValue, "memory of another context than the current one freed");
  if (memory->queued > 0) return refuse(kInvalidValue, "memory freed while queued work uses it");
  memory->alive = false;
  counts[memory->on_host ? "pinned_bytes" : "device_bytes"] -= static_cast<long long>(memory->size);
  --counts[memory->on_host ? "pinned_allocations" : "device_allocations"];
  // A view of freed pages crashes where it is used, for as long as they are kept.
  if (memory->on_host) mprotect(memory->storage, memory->size, PROT_NONE);
  if (!memory->on_host) std::free(memory->storage);
  kept.push_back(memory);
  if (kept.size() <= kKept) return kSuccess;
  Memory const& oldest = *kept.front();
  if (oldest.device != 0) by_device.erase(oldest.device);
  if (oldest.on_host) {
    by_host.erase(reinterpret_cast<std::uintptr_t>(oldest.storage));
    munmap(oldest.storage, oldest.size);
  }
  kept.pop_front();
  return kSuccess;
}

int World::add(Handle handle, Work work) {
  Stream& s = streams[handle];
  if (s.capture != nullptr) {
    if (s.capture->broken) return kCaptureInvalidated;
    auto& member = s.capture->members[handle];
    ++member.count;
    member.joined = s.capture->origin == handle;
    s.capture->nodes.push_back(std::move(work));
    return kSuccess;
  }
  for (auto const& memory : work.memory) ++memory->queued;
  s.queries = 0;
  s.queue.push_back(std::move(work));
  return kSuccess;
}

void World::run(Stream& s, Record const* until) {
  while (!s.queue.empty() && !(until != nullptr && until->done)) {
    Work work = std::move(s.queue.front());
    s.queue.pop_front();
    // What is waited for was queued before the wait was, so this comes to an end.
    if (work.waits != nullptr && !work.waits->done) run(streams[work.waits->stream], work.waits.get());
    clock += kMicrosecond;
    if (work.run) work.run();
    for (auto const& memory : work.memory) --memory->queued;
    if (work.records != nullptr) {
      work.records->done = true;
      work.records->time = clock;
    }
  }
}

int World::unsafe_call(char const* function) {
  constexpr int kRelaxed = 2;
  int code = kSuccess;
  for (auto const& capture : captures) {
    bool const mine = capture->mode == 0 || capture->thread == std::this_thread::get_id();
    if (capture->mode == kRelaxed || !mine) continue;
    capture->broken = true;
    code = refuse(kCaptureUnsupported, std::string(function) + " during a capture, which it breaks");
  }
  return code;
}

void World::drop_context(Handle handle) {
  for (auto& [key, s] : streams) {
    if (s.context != handle) continue;
    for (auto& work : s.queue) {
      for (auto const& memory : work.memory) --memory->queued;
      if (work.records != nullptr) work.records->done = true;
    }
    s.queue.clear();
  }
  std::vector<MemoryPtr> owned;
  owned.reserve(by_device.size() + by_host.size());
  for (auto const& entry : by_device) owned.push_back(entry.second);
  for (auto const& entry : by_host) owned.push_back(entry.second);
  for (auto const& memory : owned) {
    if (memory->alive && memory->context == handle) free(memory, handle);
  }
  auto const drop = [handle](auto& map) {
    for (auto entry = map.begin(); entry != map.end();) {
      entry = entry->second.context == handle ? map.erase(entry) : std::next(entry);
    }
  };
  drop(streams);
  drop(events);
  drop(graphs);
  drop(execs);
  contexts.erase(handle);
}

}  // namespace fake_cuda
