// What profiles may hold, without a TensorRT.
#include "builder_profiles.hpp"

#include <gtest/gtest.h>

#include "support/apis.hpp"
#include "support/errors.hpp"

namespace tf2trt {
namespace {

using test::throws;

constexpr std::int64_t kLarge = std::int64_t{1} << 40U;

TensorInfo input(std::string const& name, Shape const& shape, bool is_shape = false) {
  TensorInfo info;
  info.name = name;
  info.dtype = is_shape ? DType::kInt64 : DType::kFloat32;
  info.shape = shape;
  info.is_input = true;
  info.is_shape = is_shape;
  return info;
}

Profile all_three(std::string const& name, Shape const& entry) { return {{name, {entry, entry, entry}}}; }

TEST(BuilderProfiles, ShapesForDataAndValuesForShapeTensors) {
  std::vector<TensorInfo> const inputs = {input("x", {-1, 4}), input("s", {3}, true), input("n", {}, true)};
  Profile profile = all_three("x", {2, 4});
  profile.merge(all_three("s", {7, 0, -1}));
  profile.merge(all_three("n", {5}));
  for (abi::Api const& api : {test::api8(), test::api10(), test::api11()}) {
    EXPECT_NO_THROW(detail::check_profiles(api, inputs, {profile, profile}));
  }
}

TEST(BuilderProfiles, StaticDataNeedsNoEntryAndAShapeTensorDoes) {
  abi::Api const api = test::api8();
  EXPECT_NO_THROW(detail::check_profiles(api, {input("x", {2, 4})}, {}));
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"\"s\" is a shape tensor and no values are given", "--min-shapes s:..."},
                     [&] { detail::check_profiles(api, {input("s", {2}, true)}, {}); }));
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"\"s\" is a shape tensor"}, [&] {
    detail::check_profiles(api, {input("s", {2}, true)}, {all_three("s", {1, 2}), Profile{}});
  }));
}

TEST(BuilderProfiles, AScalarHasOneValueAndAShapeNone) {
  abi::Api const api = test::api11();
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"\"n\" is a shape tensor", "received: none", "1 value"},
                     [&] { detail::check_profiles(api, {input("n", {}, true)}, {all_three("n", {})}); }));
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"received: 3x-1", "expected: 1 value"},
                     [&] { detail::check_profiles(api, {input("n", {}, true)}, {all_three("n", {3, -1})}); }));
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"\"x\" does not have this shape"},
                     [&] { detail::check_profiles(api, {input("x", {})}, {all_three("x", {3})}); }));
}

TEST(BuilderProfiles, ValuesPast32BitsAreRefusedWhereTensorRTCannotTakeThem) {
  std::vector<TensorInfo> const inputs = {input("s", {2}, true)};
  for (std::int64_t const value : {kLarge, -kLarge}) {
    std::vector<Profile> const profiles = {{{"s", {{0, 0}, {0, 0}, {0, value}}}}};
    for (abi::Api const& narrow : {test::api8(), abi::Api(10, {10, 0, 1})}) {
      EXPECT_TRUE(throws(ErrorKind::kUsage, {"\"s\"", "0x" + std::to_string(value), "32 bits"},
                         [&] { detail::check_profiles(narrow, inputs, profiles); }));
    }
    for (abi::Api const& wide : {test::api10(), test::api11()}) {
      EXPECT_NO_THROW(detail::check_profiles(wide, inputs, profiles));
    }
  }
}

}  // namespace
}  // namespace tf2trt
