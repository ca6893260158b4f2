#include "abi/object.hpp"

#include <atomic>

namespace tf2trt::abi {
namespace {

std::atomic<int> g_live{0};

}  // namespace

int live_objects() noexcept { return g_live.load(); }

Owned::Owned(void* object, int destructor_slot) noexcept : object_(object), destructor_slot_(destructor_slot) {
  if (object_ != nullptr) ++g_live;
}

Owned& Owned::operator=(Owned&& other) noexcept {
  if (this != &other) {
    reset();
    object_ = std::exchange(other.object_, nullptr);
    destructor_slot_ = other.destructor_slot_;
  }
  return *this;
}

void Owned::reset() noexcept {
  if (object_ == nullptr) return;
  void* const* table = *static_cast<void* const**>(object_);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): this is the binary interface
  reinterpret_cast<void (*)(void*)>(table[destructor_slot_])(object_);
  object_ = nullptr;
  --g_live;
}

}  // namespace tf2trt::abi
