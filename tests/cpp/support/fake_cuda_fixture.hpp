// The fixture of the tests of the fake driver itself: a context is current, with a stream and memory of 8 bytes of
// each kind.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "support/cuda_calls.hpp"
#include "support/fake_cuda.hpp"

namespace tf2trt::test {

class FakeCudaTest : public testing::Test {
 protected:
  using Bytes = std::array<unsigned char, 8>;
  static constexpr int kGlobal = 0;
  static constexpr int kThreadLocal = 1;

  void SetUp() override {
    ASSERT_EQ(cuInit(0), 0);
    fake_cuda_reset();
    ASSERT_EQ(cuCtxCreate_v2(&context_, 0, 0), 0);
    ASSERT_EQ(cuStreamCreate(&stream_, 1), 0);
    ASSERT_EQ(cuMemAlloc_v2(&device_, sizeof(Bytes)), 0);
    ASSERT_EQ(cuMemHostAlloc(&pinned_, sizeof(Bytes), 0), 0);
  }
  void TearDown() override {
    EXPECT_EQ(fake_cuda_count("violations"), 0) << fake_cuda_last_violation();
    EXPECT_EQ(cuCtxDestroy_v2(context_), 0);
    for (char const* what : {"device_bytes", "pinned_bytes", "streams", "events", "graphs", "graph_execs"}) {
      EXPECT_EQ(fake_cuda_count(what), 0) << what;
    }
  }

  // Whether a call failed with `code` and was counted with `words`.
  static testing::AssertionResult refused(int result, int code, std::string const& words) {
    std::string const text = fake_cuda_last_violation();
    long long const count = fake_cuda_count("violations");
    fake_cuda_reset();
    if (result == code && count == 1 && text.find(words) != std::string::npos) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "result " << result << ", " << count << " violations: " << text;
  }

  void fill(unsigned char value) { std::memset(pinned_, value, sizeof(Bytes)); }
  [[nodiscard]] Bytes seen() const {
    Bytes bytes{};
    std::memcpy(bytes.data(), pinned_, bytes.size());
    return bytes;
  }
  static Bytes all(unsigned char value) {
    Bytes bytes{};
    bytes.fill(value);
    return bytes;
  }
  int upload() { return cuMemcpyHtoDAsync_v2(device_, pinned_, sizeof(Bytes), stream_); }
  int download() { return cuMemcpyDtoHAsync_v2(pinned_, device_, sizeof(Bytes), stream_); }

  void* context_ = nullptr;
  void* stream_ = nullptr;
  unsigned long long device_ = 0;
  void* pinned_ = nullptr;
};

}  // namespace tf2trt::test
