#include "sdk/attributes.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "support/plugin_fields.hpp"

namespace tf2trt::plugins {
namespace {

using test::Fields;

// One attribute of every type.
struct Values {
  std::int32_t number = 3;
  float factor = 0.5F;
  std::vector<std::int32_t> sizes{1, 2};
  std::vector<float> weights{0.25F};
  std::string mode = "plain";

  Attributes table() {
    return {{"number", &number}, {"factor", &factor}, {"sizes", &sizes}, {"weights", &weights}, {"mode", &mode}};
  }
  void load(Fields const& fields) { plugins::load(table(), fields.get()); }
};

// Whether `action` throws std::invalid_argument with all of these words.
template <class F>
testing::AssertionResult refuses(std::vector<std::string> const& words, F&& action) {
  try {
    action();
  } catch (std::invalid_argument const& error) {
    for (auto const& word : words) {
      if (std::string(error.what()).find(word) == std::string::npos) {
        return testing::AssertionFailure() << '"' << word << "\" is not in the message: " << error.what();
      }
    }
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "nothing was thrown";
}

testing::AssertionResult refuses(Fields const& fields, std::vector<std::string> const& words) {
  return refuses(words, [&] { Values().load(fields); });
}

TEST(Attributes, EveryTypeIsLoaded) {
  Values values;
  values.load(Fields()
                  .integers("number", {-7})
                  .reals("factor", {1.25F})
                  .integers("sizes", {4, 5, 6})
                  .reals("weights", {1, -2})
                  .text("mode", "mirrored"));
  EXPECT_EQ(values.number, -7);
  EXPECT_EQ(values.factor, 1.25F);
  EXPECT_EQ(values.sizes, (std::vector<std::int32_t>{4, 5, 6}));
  EXPECT_EQ(values.weights, (std::vector<float>{1, -2}));
  EXPECT_EQ(values.mode, "mirrored");
}

TEST(Attributes, WhatIsNotGivenKeepsItsDefault) {
  Values values;
  values.load(Fields().integers("number", {4}));
  EXPECT_EQ(values.number, 4);
  EXPECT_EQ(values.factor, 0.5F);
  EXPECT_EQ(values.sizes, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(values.weights, (std::vector<float>{0.25F}));
  EXPECT_EQ(values.mode, "plain");
  Values untouched;
  untouched.load({});
  EXPECT_EQ(untouched.number, 3);
}

TEST(Attributes, IntegersOfEveryWidth) {
  Values values;
  values.load(Fields().add<std::int8_t>("number", FieldType::kInt8, {-128}));
  EXPECT_EQ(values.number, -128);
  values.load(Fields().add<std::int16_t>("number", FieldType::kInt16, {-32768}));
  EXPECT_EQ(values.number, -32768);
  values.load(Fields().add<std::int64_t>("number", FieldType::kInt64, {-2147483648LL}));
  EXPECT_EQ(values.number, std::numeric_limits<std::int32_t>::min());
  values.load(Fields().add<std::int64_t>("sizes", FieldType::kInt64, {2147483647, 0, -1}));
  EXPECT_EQ(values.sizes, (std::vector<std::int32_t>{2147483647, 0, -1}));
}

TEST(Attributes, RealsOfBothWidths) {
  Values values;
  values.load(Fields().add<double>("factor", FieldType::kFloat64, {0.1}));
  EXPECT_EQ(values.factor, 0.1F);
  values.load(Fields().add<double>("weights", FieldType::kFloat64, {1.5, -2.5}));
  EXPECT_EQ(values.weights, (std::vector<float>{1.5F, -2.5F}));
}

TEST(Attributes, A64BitIntegerThatDoesNotFitIsRefused) {
  for (std::int64_t const value : {2147483648LL, -2147483649LL, 1LL << 40U, std::numeric_limits<long long>::min()}) {
    std::vector<std::string> const words = {"\"number\"", std::to_string(value), "32 bits"};
    EXPECT_TRUE(refuses(Fields().add<std::int64_t>("number", FieldType::kInt64, {value}), words)) << value;
  }
  EXPECT_TRUE(refuses(Fields().add<std::int64_t>("sizes", FieldType::kInt64, {1, 1LL << 40U}), {"\"sizes\""}));
}

TEST(Attributes, A64BitRealThatDoesNotFitIsRefused) {
  for (double const value : {1e39, -1e300}) {
    EXPECT_TRUE(refuses(Fields().add<double>("factor", FieldType::kFloat64, {value}), {"\"factor\"", "32 bits"}));
  }
  Values values;
  values.load(Fields().add<double>("factor", FieldType::kFloat64, {std::numeric_limits<double>::infinity()}));
  EXPECT_EQ(values.factor, std::numeric_limits<float>::infinity());
  values.load(Fields().add<double>("factor", FieldType::kFloat64, {1e-300}));
  EXPECT_EQ(values.factor, 0);
}

TEST(Attributes, ListsAndTextMayBeEmpty) {
  Values values;
  values.load(Fields().integers("sizes", {}).reals("weights", {}).text("mode", ""));
  EXPECT_TRUE(values.sizes.empty());
  EXPECT_TRUE(values.weights.empty());
  EXPECT_EQ(values.mode, "");
  Values null;
  null.load(Fields().raw("sizes", FieldType::kInt32, nullptr, 0));
  EXPECT_TRUE(null.sizes.empty());
}

TEST(Attributes, DataNeedNotBeAligned) {
  std::string bytes("\0\x04\x03\x02\x01\x08\x07\x06\x05", 9);
  Values values;
  values.load(Fields().raw("sizes", FieldType::kInt32, bytes.data() + 1, 2));
  EXPECT_EQ(values.sizes, (std::vector<std::int32_t>{0x01020304, 0x05060708}));
}

TEST(Attributes, AnUnknownNameIsRefusedWithTheKnownOnes) {
  EXPECT_TRUE(refuses(Fields().integers("numbers", {1}), {"\"numbers\"", "number, factor, sizes, weights, mode"}));
  EXPECT_TRUE(refuses(Fields().integers("", {1}), {"\"\"", "number, factor"}));
  PluginField const nameless{nullptr, nullptr, FieldType::kInt32, 0};
  EXPECT_TRUE(refuses({"number, factor"}, [&] { load(Values().table(), {1, &nameless}); }));
  Fields const one = Fields().integers("number", {1});
  EXPECT_TRUE(refuses({"\"number\"", "no attribute"}, [&] { load({}, one.get()); }));
}

TEST(Attributes, AnotherTypeIsRefused) {
  EXPECT_TRUE(refuses(Fields().reals("number", {1}), {"\"number\"", "field type 1", "an integer"}));
  EXPECT_TRUE(refuses(Fields().text("number", "1"), {"\"number\"", "field type 6", "an integer"}));
  EXPECT_TRUE(refuses(Fields().integers("factor", {1}), {"\"factor\"", "field type 5", "a float"}));
  EXPECT_TRUE(refuses(Fields().reals("sizes", {1}), {"\"sizes\"", "an integer"}));
  EXPECT_TRUE(refuses(Fields().integers("weights", {1}), {"\"weights\"", "a float"}));
  EXPECT_TRUE(refuses(Fields().integers("mode", {1}), {"\"mode\"", "text"}));
  constexpr auto kDims = static_cast<FieldType>(7);
  EXPECT_TRUE(refuses(Fields().add<std::int32_t>("number", kDims, {1}), {"\"number\"", "field type 7"}));
}

TEST(Attributes, ASingleValueIsOne) {
  EXPECT_TRUE(refuses(Fields().integers("number", {}), {"\"number\"", "0 values", "one"}));
  EXPECT_TRUE(refuses(Fields().integers("number", {1, 2}), {"\"number\"", "2 values", "one"}));
  EXPECT_TRUE(refuses(Fields().reals("factor", {1, 2, 3}), {"\"factor\"", "3 values", "one"}));
}

TEST(Attributes, NoDataIsRefused) {
  EXPECT_TRUE(refuses(Fields().raw("number", FieldType::kInt32, nullptr, 1), {"\"number\"", "no data"}));
  EXPECT_TRUE(refuses(Fields().raw("sizes", FieldType::kInt32, nullptr, 2), {"\"sizes\"", "no data"}));
  EXPECT_TRUE(refuses(Fields().raw("mode", FieldType::kChar, "text", -1), {"\"mode\"", "no data"}));
}

TEST(Attributes, AListThatIsRefusedLeavesTheOldOne) {
  Values values;
  Fields const fields = Fields().add<std::int64_t>("sizes", FieldType::kInt64, {5, 1LL << 40U});
  EXPECT_THROW(values.load(fields), std::invalid_argument);
  EXPECT_EQ(values.sizes, (std::vector<std::int32_t>{1, 2}));
}

TEST(Attributes, FieldsPointToTheMembers) {
  Values values;
  auto const fields = fields_of(values.table());
  ASSERT_EQ(fields.size(), 5U);
  EXPECT_STREQ(fields[0].name, "number");
  EXPECT_EQ(fields[0].data, &values.number);
  EXPECT_EQ(fields[0].type, FieldType::kInt32);
  EXPECT_EQ(fields[0].length, 1);
  EXPECT_EQ(fields[1].data, &values.factor);
  EXPECT_EQ(fields[1].type, FieldType::kFloat32);
  EXPECT_EQ(fields[2].data, values.sizes.data());
  EXPECT_EQ(fields[2].length, 2);
  EXPECT_EQ(fields[3].data, values.weights.data());
  EXPECT_EQ(fields[3].type, FieldType::kFloat32);
  EXPECT_STREQ(fields[4].name, "mode");
  EXPECT_EQ(fields[4].data, values.mode.data());
  EXPECT_EQ(fields[4].type, FieldType::kChar);
  EXPECT_EQ(fields[4].length, 5);
}

// TensorRT copies a field's data, however little of it there is.
TEST(Attributes, EmptyFieldsHaveAnAddressToo) {
  Values values;
  values.sizes.clear();
  values.mode.clear();
  auto const fields = fields_of(values.table());
  EXPECT_EQ(fields[2].length, 0);
  EXPECT_NE(fields[2].data, nullptr);
  EXPECT_EQ(fields[4].length, 0);
  EXPECT_NE(fields[4].data, nullptr);
  EXPECT_TRUE(fields_of({}).empty());
}

TEST(Attributes, FieldsLoadIntoAnother) {
  Values from;
  from.number = 11;
  from.sizes = {};
  from.mode = "an other";
  auto const fields = fields_of(from.table());
  Values to;
  load(to.table(), {static_cast<std::int32_t>(fields.size()), fields.data()});
  EXPECT_EQ(test::values_of(fields_of(to.table())), test::values_of(fields));
}

}  // namespace
}  // namespace tf2trt::plugins
