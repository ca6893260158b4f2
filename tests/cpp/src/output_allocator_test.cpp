// OutputAdapter, called as TensorRT does: through the table of IOutputAllocator.
#include "output_allocator.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "support/apis.hpp"
#include "support/errors.hpp"
#include "support/interface.hpp"

namespace tf2trt::detail {
namespace {

using abi::Api;
using abi::Method;
using test::at_slot;

struct Growing final : OutputAllocator {
  void* allocate(std::string const& name, std::size_t bytes) override {
    asked.emplace_back(name, bytes);
    if (fails) throw std::runtime_error("no memory for " + name);
    return memory;
  }
  void shape(std::string const& name, Shape const& extents) override {
    if (fails) throw std::runtime_error("no shape for " + name);
    told.emplace_back(name, extents);
  }
  std::vector<std::pair<std::string, std::size_t>> asked;
  std::vector<std::pair<std::string, Shape>> told;
  void* memory = nullptr;
  bool fails = false;
};

template <class Dims>
struct Calls {
  Api api;
  void* object;

  void* reallocate(std::uint64_t size, std::uint64_t alignment) {
    constexpr char kName[] = "as TensorRT calls it";
    void* const current = nullptr;
    int const slot = api.slot(Method::IOutputAllocator_reallocateOutput);
    void* const plain = at_slot<void*>(object, slot, &kName[0], current, size, alignment);
    if (!api.has(Method::IOutputAllocator_reallocateOutputAsync)) return plain;
    void* const stream = nullptr;
    int const later = api.slot(Method::IOutputAllocator_reallocateOutputAsync);
    void* const queued = at_slot<void*>(object, later, &kName[0], current, size, alignment, stream);
    EXPECT_EQ(plain, queued);
    return queued;
  }
  void notify(Dims const& dims) {
    at_slot<void>(object, api.slot(Method::IOutputAllocator_notifyShape), "as TensorRT calls it", &dims);
  }
};

class OutputAllocatorTest : public testing::Test {
 protected:
  template <class Check>
  void in_every_generation(Check check) {
    check(Calls<abi::Dims32>{test::api8(), adapter_.handle(8)});
    check(Calls<abi::Dims64>{test::api10(), adapter_.handle(10)});
    check(Calls<abi::Dims64>{test::api11(), adapter_.handle(11)});
  }
  testing::AssertionResult threw(std::string const& words) {
    std::exception_ptr const error = adapter_.take_error();
    if (!error) return testing::AssertionFailure() << "nothing was thrown";
    try {
      std::rethrow_exception(error);
    } catch (std::exception const& thrown) {
      std::string const text = thrown.what();
      if (text.find(words) == std::string::npos) return testing::AssertionFailure() << text;
    }
    return adapter_.take_error() ? testing::AssertionFailure() << "a second error" : testing::AssertionSuccess();
  }

  std::shared_ptr<Growing> allocator_ = std::make_shared<Growing>();
  OutputAdapter adapter_{"boxes", allocator_};
};

TEST_F(OutputAllocatorTest, MemoryComesFromTheAllocator) {
  alignas(256) char memory[256];
  in_every_generation([&](auto calls) {
    allocator_->asked.clear();
    allocator_->memory = &memory;
    EXPECT_EQ(calls.reallocate(std::uint64_t{1} << 40U, 256), &memory);
    allocator_->memory = nullptr;
    EXPECT_EQ(calls.reallocate(1, 0), nullptr);
    EXPECT_EQ(allocator_->asked.front(), (std::pair<std::string, std::size_t>("boxes", std::size_t{1} << 40U)));
    EXPECT_EQ(allocator_->asked.back(), (std::pair<std::string, std::size_t>("boxes", 1)));
    EXPECT_EQ(adapter_.take_error(), nullptr);
  });
}

TEST_F(OutputAllocatorTest, TheShapeIsTold) {
  in_every_generation([&](auto calls) {
    allocator_->told.clear();
    calls.notify({3, {2, 0, 1}});
    calls.notify({0, {}});
    calls.notify({8, {1, 2, 3, 4, 5, 6, 7, 8}});
    ASSERT_EQ(allocator_->told.size(), 3U);
    EXPECT_EQ(allocator_->told[0], (std::pair<std::string, Shape>("boxes", {2, 0, 1})));
    EXPECT_EQ(allocator_->told[1].second, Shape{});
    EXPECT_EQ(allocator_->told[2].second, (Shape{1, 2, 3, 4, 5, 6, 7, 8}));
  });
}

TEST_F(OutputAllocatorTest, AnExceptionIsKeptAndNoMemoryGiven) {
  in_every_generation([&](auto calls) {
    allocator_->fails = true;
    EXPECT_EQ(calls.reallocate(8, 256), nullptr);
    EXPECT_TRUE(threw("no memory for boxes"));
    calls.notify({1, {5}});
    EXPECT_TRUE(threw("no shape for boxes"));
    allocator_->fails = false;
    calls.notify({1, {5}});
    EXPECT_EQ(adapter_.take_error(), nullptr);
  });
}

TEST_F(OutputAllocatorTest, MemoryThatIsNotAlignedIsAnError) {
  alignas(256) char memory[512];
  allocator_->memory = &memory[16];
  in_every_generation([&](auto calls) {
    EXPECT_EQ(calls.reallocate(8, 256), nullptr);
    EXPECT_TRUE(threw("multiple of 256"));
    EXPECT_EQ(calls.reallocate(8, 16), &memory[16]);
  });
}

}  // namespace
}  // namespace tf2trt::detail
