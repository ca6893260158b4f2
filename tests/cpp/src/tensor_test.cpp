#include "tf2trt/tensor.hpp"

#include <gtest/gtest.h>

#include "support/errors.hpp"

namespace tf2trt {
namespace {

using test::throws;

TEST(Tensor, Bytes) {
  EXPECT_EQ(bytes_of(DType::kInt64, 3), 24U);
  EXPECT_EQ(bytes_of(DType::kFloat32, 3), 12U);
  EXPECT_EQ(bytes_of(DType::kInt32, 3), 12U);
  EXPECT_EQ(bytes_of(DType::kFloat16, 3), 6U);
  EXPECT_EQ(bytes_of(DType::kBfloat16, 3), 6U);
  for (auto const dtype : {DType::kInt8, DType::kBool, DType::kUint8, DType::kFloat8}) {
    EXPECT_EQ(bytes_of(dtype, 3), 3U) << name_of(dtype);
  }
}

TEST(Tensor, TwoInt4InAByte) {
  EXPECT_EQ(bytes_of(DType::kInt4, 0), 0U);
  EXPECT_EQ(bytes_of(DType::kInt4, 1), 1U);
  EXPECT_EQ(bytes_of(DType::kInt4, 2), 1U);
  EXPECT_EQ(bytes_of(DType::kInt4, 3), 2U);
}

TEST(Tensor, UnknownTypeHasNoSize) {
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"no known size"}, [] { (void)bytes_of(DType::kOther, 1); }));
}

TEST(Tensor, ElementCount) {
  EXPECT_EQ(element_count({}), 1U);
  EXPECT_EQ(element_count({2, 3, 4}), 24U);
  EXPECT_EQ(element_count({2, 0, 4}), 0U);
  EXPECT_EQ(element_count({1'048'576, 1'048'576}), std::size_t{1'099'511'627'776});
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"dynamic", "2x?"}, [] { (void)element_count({2, -1}); }));
}

TEST(Tensor, ShapesAsText) {
  EXPECT_EQ(to_string(Shape{}), "scalar");
  EXPECT_EQ(to_string(Shape{5}), "5");
  EXPECT_EQ(to_string(Shape{1, -1, 224}), "1x?x224");
  EXPECT_EQ(to_string(Shape{0}), "0");
}

TEST(Tensor, TypesAsText) {
  EXPECT_STREQ(name_of(DType::kFloat32), "float32");
  EXPECT_STREQ(name_of(DType::kBfloat16), "bfloat16");
  EXPECT_STREQ(name_of(DType::kBool), "bool");
  EXPECT_STREQ(name_of(DType::kOther), "other");
}

}  // namespace
}  // namespace tf2trt
