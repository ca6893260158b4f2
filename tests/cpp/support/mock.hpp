// Classes laid out as TensorRT's are, made by the compiler: Skip<Base, N> puts N virtual functions, which must not be
// called, behind those of Base.
#pragma once

#include <gtest/gtest.h>

namespace tf2trt::test {

// One type for each slot, so that none of the functions overrides another.
template <class Base, int N>
struct Tag {};

template <class Base, int N>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): the table says where that of a plain class is
class Skip : public Skip<Base, N - 1> {
 public:
  using Skip<Base, N - 1>::unused;
  virtual void unused(Tag<Base, N> /*tag*/) { ADD_FAILURE() << "the wrong slot was called"; }
};

template <class Base>
class Skip<Base, 0> : public Base {
 public:
  void unused() {}
};

// A plain class without a virtual function of its own yet.
class Nothing {};

// NVIDIA's apiv::VRoot: its destructor takes slots 0 and 1.
class Root {
 public:
  Root() = default;
  virtual ~Root() = default;
  Root(Root const&) = delete;
  Root& operator=(Root const&) = delete;
};

// clang-tidy's analyzer does not know that a constructor sets the pointer to the table, and takes it for uninitialised:
// it is not shown where the pointer comes from.
inline void* unseen(void* pointer) noexcept {
  void* volatile hidden = pointer;
  return hidden;
}

// An API object: {vptr, mImpl}.
class Object {
 public:
  explicit Object(void* implementation) noexcept : implementation_(unseen(implementation)) {}
  virtual ~Object() = default;
  Object(Object const&) = delete;
  Object& operator=(Object const&) = delete;
  [[nodiscard]] void* implementation() const noexcept { return implementation_; }

 private:
  void* implementation_;
};

}  // namespace tf2trt::test
