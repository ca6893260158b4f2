// Session on the fake driver and the fake TensorRT.
#include "tf2trt/session.hpp"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/fake_gpu.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

using test::throws;

class FakeSessionTest : public test::FakeGpuTest {};

template <class T>
HostTensor tensor(DType dtype, Shape const& shape, std::vector<T> const& values) {
  HostTensor made{dtype, shape, std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(made.data.data(), values.data(), made.data.size());
  return made;
}
HostTensor floats(Shape const& shape, std::vector<float> const& values) {
  return tensor(DType::kFloat32, shape, values);
}

template <class T>
std::vector<T> values(HostTensor const& tensor) {
  std::vector<T> read(tensor.data.size() / sizeof(T));
  std::memcpy(read.data(), tensor.data.data(), tensor.data.size());
  return read;
}

TEST_F(FakeSessionTest, RunsAStaticEngine) {
  Session session(engine("static"));
  for (float const first : {0.5F, -7.0F}) {
    auto const outputs = session.run({{"x", floats({2, 3}, {first, 1, 2, 3, 4, 5})},
                                      {"z", tensor<std::int32_t>(DType::kInt32, {2, 3}, {1, 2, 3, 4, 5, 6})}});
    ASSERT_EQ(outputs.size(), 2U);
    EXPECT_EQ(values<float>(outputs.at("y")), (std::vector<float>{first + 1, 3, 5, 7, 9, 11}));
    EXPECT_EQ(outputs.at("y").shape, (Shape{2, 3}));
    EXPECT_EQ(values<std::int32_t>(outputs.at("w")), (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(outputs.at("w").dtype, DType::kInt32);
  }
  EXPECT_EQ(fake_cuda_count("pageable_copies"), 0);
}

TEST_F(FakeSessionTest, FollowsTheShape) {
  Session session(engine("double"));
  for (std::int64_t const batch : {1, 4, 2, 4, 4, 4, 1}) {
    std::vector<float> given(static_cast<std::size_t>(batch) * 2);
    std::vector<float> expected;
    for (std::size_t i = 0; i < given.size(); ++i) {
      given[i] = static_cast<float>(i) + static_cast<float>(batch) / 8;
      expected.push_back(2 * given[i]);
    }
    auto const outputs = session.run({{"x", floats({batch, 2}, given)}});
    EXPECT_EQ(values<float>(outputs.at("y")), expected);
    EXPECT_EQ(outputs.at("y").shape, (Shape{batch, 2}));
  }
}

TEST_F(FakeSessionTest, WhatDoesNotFitIsRefusedBeforeAnyWork) {
  Session session(engine("double"));
  auto const before = fake_cuda_count("kernels");  // choosing a profile is one
  using Inputs = std::map<std::string, HostTensor>;
  auto const x = floats({1, 2}, {1, 2});
  HostTensor cut = x;
  cut.data.pop_back();
  EXPECT_TRUE(throws(ErrorKind::kInput, {"x", "missing"}, [&] { session.run(Inputs{}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"does not have"}, [&] { session.run({{"x", x}, {"q", x}}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"int32", "float32"},
                     [&] { session.run({{"x", tensor<std::int32_t>(DType::kInt32, {1, 2}, {1, 2})}}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"7 bytes", "8 bytes"}, [&] { session.run({{"x", cut}}); }));
  EXPECT_TRUE(
      throws(ErrorKind::kInput, {"17x2"}, [&] { session.run({{"x", floats({17, 2}, std::vector<float>(34))}}); }));
  EXPECT_EQ(fake_cuda_count("pending"), 0);
  EXPECT_EQ(fake_cuda_count("kernels"), before);
  EXPECT_EQ(values<float>(session.run({{"x", x}}).at("y")), (std::vector<float>{2, 4}));
}

TEST_F(FakeSessionTest, NeedsMemory) {
  fake_cuda_set("free", 1000);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"4096"}, [] { Session const session(engine("double")); }));
}

TEST_F(FakeSessionTest, OutlivesItsEngine) {
  auto session = [] {
    Engine const short_lived = engine("double");
    return Session(short_lived);
  }();
  EXPECT_EQ(values<float>(session.run({{"x", floats({1, 2}, {1, 2})}}).at("y")), (std::vector<float>{2, 4}));
}

}  // namespace
}  // namespace tf2trt
