#include "sdk/tensor.hpp"

#include <gtest/gtest.h>

namespace tf2trt::plugins {
namespace {

Tensor tensor(std::vector<std::int64_t> const& dims, Format format) {
  Tensor made;
  made.rank = static_cast<int>(dims.size());
  for (std::size_t i = 0; i < dims.size(); ++i) made.dims.at(i) = dims[i];
  made.format = format;
  return made;
}

TEST(StoredElements, AllOfALinearTensor) {
  EXPECT_EQ(stored_elements(tensor({}, Format::kLinear)), 1);
  EXPECT_EQ(stored_elements(tensor({7}, Format::kLinear)), 7);
  EXPECT_EQ(stored_elements(tensor({2, 3, 5, 7}, Format::kLinear)), 210);
  EXPECT_EQ(stored_elements(tensor({2, 0, 5}, Format::kLinear)), 0);
  EXPECT_EQ(stored_elements(tensor({1 << 20, 1 << 20}, Format::kLinear)), 1LL << 40U);
}

TEST(StoredElements, ChannelsArePaddedToTheirGroup) {
  EXPECT_EQ(stored_elements(tensor({2, 3, 5, 7}, Format::kChw2)), 2 * 4 * 35);
  EXPECT_EQ(stored_elements(tensor({2, 3, 5, 7}, Format::kChw4)), 2 * 4 * 35);
  EXPECT_EQ(stored_elements(tensor({2, 9, 5, 7}, Format::kHwc8)), 2 * 16 * 35);
  EXPECT_EQ(stored_elements(tensor({2, 16, 5, 7}, Format::kChw16)), 2 * 16 * 35);
  EXPECT_EQ(stored_elements(tensor({2, 33, 5, 7}, Format::kChw32)), 2 * 64 * 35);
  EXPECT_EQ(stored_elements(tensor({3, 5, 7}, Format::kChw32)), 32 * 35);
  EXPECT_EQ(stored_elements(tensor({2, 3, 4, 5, 6}, Format::kChw32)), 2 * 3 * 32 * 30);
}

TEST(StoredElements, NoneWhereTheFormatCannotBe) {
  EXPECT_EQ(stored_elements(tensor({5, 7}, Format::kChw32)), -1);
  EXPECT_EQ(stored_elements(tensor({5, 7, 9}, static_cast<Format>(99))), -1);
}

}  // namespace
}  // namespace tf2trt::plugins
