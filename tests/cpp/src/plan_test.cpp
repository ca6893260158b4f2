#include "tf2trt/plan.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "support/errors.hpp"

namespace tf2trt {
namespace {

using test::throws;

constexpr std::size_t kHeaderSize = 28;

std::string header(std::string const& tag, std::string const& version, std::uint64_t size = 0) {
  std::string bytes = tag + std::string("\x01\x02\x00\x00", 4);
  bytes.resize(16, '\0');
  for (unsigned i = 0; i < 8; ++i) bytes += static_cast<char>((size >> (8 * i)) & 0xFFU);
  return bytes + version;
}

TEST(Plan, VersionAndFormatAreRead) {
  for (char const* tag : {"ftrt", "vtrt"}) {
    std::string const bytes = header(tag, std::string("\x08\x06\x00\x0c", 4));
    PlanHeader const plan = read_plan_header(bytes.data(), bytes.size());
    EXPECT_EQ(plan.version, (std::array<int, 4>{8, 6, 0, 12})) << tag;
    EXPECT_EQ(plan.version_text(), "8.6.0");
    EXPECT_EQ(plan.serialization, 0x201);
  }
}

TEST(Plan, VersionBytesAreNotSigned) {
  std::string const bytes = header("ftrt", "\x0a\x10\xff\xc8");
  EXPECT_EQ(read_plan_header(bytes.data(), bytes.size()).version, (std::array<int, 4>{10, 16, 255, 200}));
}

TEST(Plan, WhatFollowsTheHeaderDoesNotMatter) {
  std::string const bytes = header("vtrt", "\x01\x07\x01\x63") + std::string(1000, '\xff');
  EXPECT_EQ(read_plan_header(bytes.data(), bytes.size()).version_text(), "1.7.1");
}

TEST(Plan, EveryShorterPrefixIsRefused) {
  std::string const bytes = header("ftrt", "\x0a\x03\x01\x01");
  ASSERT_EQ(bytes.size(), kHeaderSize);
  for (std::size_t size = 0; size < kHeaderSize; ++size) {
    EXPECT_TRUE(throws(ErrorKind::kEngine, {"too short", std::to_string(size) + " bytes", "28 bytes"},
                       [&] { read_plan_header(bytes.data(), size); }));
  }
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"too short"}, [] { read_plan_header(nullptr, 100); }));
}

TEST(Plan, FewerBytesThanTheHeaderSaysAreRefused) {
  std::string const bytes = header("ftrt", "\x0a\x03\x01\x01", 100) + std::string(72, 'x');
  EXPECT_EQ(read_plan_header(bytes.data(), 100).version_text(), "10.3.1");
  EXPECT_TRUE(
      throws(ErrorKind::kEngine, {"truncated", "99 bytes", "100 bytes"}, [&] { read_plan_header(bytes.data(), 99); }));
  std::string const huge = header("vtrt", "\x01\x07\x01\x63", ~std::uint64_t{0});
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"truncated"}, [&] { read_plan_header(huge.data(), huge.size()); }));
}

TEST(Plan, OtherFilesAreRefused) {
  for (std::string const& bytes : {std::string(100, '\0'), std::string(100, 'f'), header("ftrT", "abcd"),
                                   "\x08\x08\x12\x03onnx" + std::string(100, 'x')}) {
    EXPECT_TRUE(
        throws(ErrorKind::kEngine, {"not a TensorRT plan"}, [&] { read_plan_header(bytes.data(), bytes.size()); }));
  }
}

}  // namespace
}  // namespace tf2trt
