// Attributes as the bytes of a TensorRT 8 plan.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "sdk/attributes.hpp"
#include "support/plugin_fields.hpp"

namespace tf2trt::plugins {
namespace {

using Bytes = std::vector<char>;

struct Values {
  std::int32_t number = 3;
  float factor = 0.5F;
  std::vector<std::int32_t> sizes{1, 2};
  std::vector<float> weights{0.25F};
  std::string mode = "plain";

  Attributes table() {
    return {{"number", &number}, {"factor", &factor}, {"sizes", &sizes}, {"weights", &weights}, {"mode", &mode}};
  }
  [[nodiscard]] auto all() { return test::values_of(fields_of(table())); }
};

// From a block of exactly that size, so that a sanitizer sees a byte read behind it.
void unpack_into(Values& values, Bytes const& bytes) {
  std::unique_ptr<char[]> const copy(new char[bytes.size()]);  // NOLINT(*-avoid-c-arrays)
  std::copy(bytes.begin(), bytes.end(), copy.get());
  unpack(values.table(), copy.get(), bytes.size());
}

// What unpack says of bytes that it refuses; "" where it takes them.
std::string refusal(Bytes const& bytes) {
  Values values;
  try {
    unpack_into(values, bytes);
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
  return "";
}

Bytes packed() { return pack(Values().table()); }

void put(Bytes& bytes, std::uint32_t number) {
  char raw[sizeof number];  // NOLINT(*-avoid-c-arrays)
  std::memcpy(raw, &number, sizeof number);
  bytes.insert(bytes.end(), raw, raw + sizeof number);
}

// One attribute as pack would write it, its numbers chosen freely.
Bytes one(std::string const& name, FieldType type, std::uint32_t length, std::string const& data) {
  Bytes bytes{'T', '2', 'P', '1'};
  put(bytes, 1);
  put(bytes, static_cast<std::uint32_t>(name.size()));
  put(bytes, static_cast<std::uint32_t>(data.size()));
  put(bytes, static_cast<std::uint32_t>(type));
  put(bytes, length);
  bytes.insert(bytes.end(), name.begin(), name.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

TEST(Pack, ThereAndBack) {
  Values from;
  from.number = -2147483647;
  from.factor = 1e-12F;
  from.sizes = {7, -8, 9};
  from.weights = {};
  from.mode = std::string("with a \0 in it", 14);
  Values to;
  unpack_into(to, pack(from.table()));
  EXPECT_EQ(to.all(), from.all());
}

TEST(Pack, TheFormatIsWhatTheHeaderSays) {
  Values values;
  Bytes const bytes = pack({{"number", &values.number}});
  EXPECT_EQ(bytes, one("number", FieldType::kInt32, 1, std::string("\x03\0\0\0", 4)));
  EXPECT_EQ(pack({}), (Bytes{'T', '2', 'P', '1', 0, 0, 0, 0}));
}

TEST(Pack, NoAttributesThereAndBack) {
  Bytes const bytes = pack({});
  EXPECT_NO_THROW(unpack({}, bytes.data(), bytes.size()));
}

// As from an earlier version of the operator.
TEST(Pack, WhatIsNotInTheBytesKeepsItsDefault) {
  std::int32_t number = 8;
  Values values;
  unpack_into(values, pack({{"number", &number}}));
  EXPECT_EQ(values.number, 8);
  EXPECT_EQ(values.mode, "plain");
}

// As from a later one.
TEST(Pack, AnUnknownAttributeIsRefused) {
  EXPECT_NE(refusal(one("later", FieldType::kInt32, 1, "1234")).find("\"later\""), std::string::npos);
}

TEST(Pack, EveryTruncationIsRefused) {
  Bytes const whole = packed();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), "") << size;
  }
  EXPECT_EQ(refusal(whole), "");
}

TEST(Pack, NothingIsRefused) {
  Values values;
  EXPECT_THROW(unpack(values.table(), nullptr, 0), std::invalid_argument);
  EXPECT_THROW(unpack(values.table(), nullptr, 100), std::invalid_argument);
}

TEST(Pack, TrailingBytesAreRefused) {
  Bytes bytes = packed();
  bytes.push_back('\0');
  EXPECT_NE(refusal(bytes).find("longer than its attributes"), std::string::npos);
}

TEST(Pack, BytesOfAnotherLibraryAreRefused) {
  Bytes bytes = packed();
  bytes[3] = '2';
  EXPECT_NE(refusal(bytes).find("not written by this plugin library"), std::string::npos);
  EXPECT_NE(refusal(Bytes(100, '\0')), "");
}

// Every byte is turned into every other: what comes is an answer or a refusal.
TEST(Pack, DamagedBytesAreReadOrRefused) {
  Bytes const whole = packed();
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int damage = 1; damage < 256; ++damage) {
      Bytes bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ damage);
      if (!refusal(bytes).empty()) ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(Pack, LengthsThatDoNotFitAreRefused) {
  EXPECT_NE(refusal(one("number", FieldType::kInt32, 2, "1234")), "");
  EXPECT_NE(refusal(one("number", FieldType::kInt32, 1, "12345678")), "");
  EXPECT_NE(refusal(one("sizes", FieldType::kInt32, 0xFFFFFFFF, "1234")), "");
  EXPECT_NE(refusal(one("mode", FieldType::kChar, 0x80000000, "")), "");
}

// pack writes 32-bit numbers and text: an element of another size would be read past the attribute's end.
TEST(Pack, TypesThatPackDoesNotWriteAreRefused) {
  EXPECT_NE(refusal(one("number", FieldType::kInt64, 1, std::string(4, '\0'))), "");
  EXPECT_NE(refusal(one("factor", FieldType::kFloat64, 1, std::string(4, '\0'))), "");
  EXPECT_NE(refusal(one("number", FieldType::kInt16, 1, std::string(4, '\0'))), "");
  EXPECT_NE(refusal(one("number", FieldType::kInt8, 1, std::string(4, '\0'))), "");
}

}  // namespace
}  // namespace tf2trt::plugins
