// Owners of what TensorRT creates.
#pragma once

#include <utility>

#include "abi/slots.hpp"

namespace tf2trt::abi {

// Owns one API object or parser and deletes it through its own table. Movable, empty by default.
class Owned {
 public:
  Owned() = default;
  // Takes an API object: its deleting destructor is slot 1 of its own table. A null pointer gives an empty owner.
  explicit Owned(void* object) noexcept : Owned(object, 1) {}
  // Takes an object whose deleting destructor is elsewhere (the parser).
  Owned(void* object, int destructor_slot) noexcept;
  ~Owned() { reset(); }
  Owned(Owned&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), destructor_slot_(other.destructor_slot_) {}
  Owned& operator=(Owned&& other) noexcept;
  Owned(Owned const&) = delete;
  Owned& operator=(Owned const&) = delete;

  [[nodiscard]] void* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  void reset() noexcept;

 private:
  void* object_ = nullptr;
  int destructor_slot_ = 1;
};

// How many TensorRT objects this process owns now; tests see that it comes back to where it was.
int live_objects() noexcept;

}  // namespace tf2trt::abi
