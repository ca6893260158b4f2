// The calls about shape tensors and outputs, on classes that the compiler lays out as it laid out NVIDIA's.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "abi/call.hpp"
#include "support/apis.hpp"
#include "support/mock.hpp"

namespace tf2trt::abi {
namespace {

using test::api10;
using test::api11;
using test::api8;
using test::Object;
using test::Root;
using test::Skip;
using Values = std::vector<std::int64_t>;

constexpr std::int64_t kLarge = 1'099'511'627'776;  // past 32 bits

Api early10() { return {10, {10, 0, 1}}; }

// setShapeValues at 4 in 8 and 10; setShapeValuesV2 at 10 in 10 and at 8 in 11.
template <class Value, int Before>
class Profile : public Skip<Root, Before> {
 public:
  virtual bool set_values(Name name, Int select, Value const* values, Int count) {
    seen = std::string(name) + std::to_string(select);
    got.assign(values, values + count);
    return answer;
  }
  std::string seen;
  Values got;
  bool answer = true;
};

template <class Mock>
void check_set_values(Api const& api, Values const& values) {
  Mock profile;
  Object const object(&profile);
  for (bool const answer : {true, false}) {
    profile.answer = answer;
    EXPECT_EQ(set_profile_values(api, &object, "s", 2, values), answer);
    EXPECT_EQ(profile.seen, "s2");
    EXPECT_EQ(profile.got, values);
  }
}

TEST(CallValues, ProfilesTakeThemInTheWidthOfTheVersion) {
  EXPECT_FALSE(has_wide_profile_values(api8()));
  EXPECT_FALSE(has_wide_profile_values(early10()));
  check_set_values<Profile<Int, 2>>(api8(), {1, -1, 2'147'483'647});
  check_set_values<Profile<Int, 2>>(early10(), {-2'147'483'648});
  EXPECT_TRUE(has_wide_profile_values(api10()));
  check_set_values<Profile<std::int64_t, 8>>(api10(), {kLarge, -kLarge});
  check_set_values<Profile<std::int64_t, 6>>(api11(), {kLarge, 0});
}

// 8: getBindingIndex at 3, getProfileShapeValues at 24.
class Bindings8 : public Skip<Root, 1> {
 public:
  virtual Int index_of(Name name) {
    seen = name;
    return 7;
  }
  std::string seen;
};
class Engine8 : public Skip<Bindings8, 20> {
 public:
  virtual Int const* values_of(Int profile, Int index, Int select) {
    seen += " " + std::to_string(profile) + std::to_string(index) + std::to_string(select);
    return values.empty() ? nullptr : values.data();
  }
  std::vector<Int> values{1, -1, 3};
};

TEST(CallValues, Engine8HasThemByBinding) {
  Engine8 engine;
  Object const object(&engine);
  EXPECT_EQ(profile_values(api8(), &object, "s", 1, 2, 3), (Values{1, -1, 3}));
  EXPECT_EQ(engine.seen, "s 172");
  engine.values.clear();
  EXPECT_EQ(profile_values(api8(), &object, "s", 1, 2, 3), Values{});
}

// 10: getProfileTensorValues at 11, getProfileTensorValuesV2 at 54.
class Narrow10 : public Skip<Root, 9> {
 public:
  virtual Int const* narrow_values(Name name, Int profile, Int select) {
    seen += std::string(name) + "4" + std::to_string(profile) + std::to_string(select);
    return narrow.empty() ? nullptr : narrow.data();
  }
  std::vector<Int> narrow;
  std::string seen;
};
class Engine10 : public Skip<Narrow10, 42> {
 public:
  virtual std::int64_t const* wide_values(Name name, Int profile, Int select) {
    seen += std::string(name) + "8" + std::to_string(profile) + std::to_string(select);
    return wide.empty() ? nullptr : wide.data();
  }
  Values wide;
};

TEST(CallValues, Engine10HasThemInTheWidthThatTheyWereSetIn) {
  Engine10 engine;
  Object const object(&engine);
  engine.narrow = {5, -5};
  EXPECT_EQ(profile_values(early10(), &object, "s", 0, 1, 2), (Values{5, -5}));
  EXPECT_EQ(engine.seen, "s401");
  engine.seen.clear();
  EXPECT_EQ(profile_values(api10(), &object, "s", 0, 1, 2), (Values{5, -5}));
  EXPECT_EQ(engine.seen, "s801s401");
  engine.seen.clear();
  engine.wide = {kLarge, 1};
  EXPECT_EQ(profile_values(api10(), &object, "s", 3, 2, 2), (Values{kLarge, 1}));
  EXPECT_EQ(engine.seen, "s832");
}

// 11: getTensorLocation at 17, getProfileTensorValuesV2 at 46.
class Location11 : public Skip<Root, 15> {
 public:
  virtual Int location(Name name) { return *name == 's' ? 1 : 0; }
};
class Engine11 : public Skip<Location11, 28> {
 public:
  virtual std::int64_t const* wide_values(Name /*name*/, Int /*profile*/, Int /*select*/) {
    return wide.empty() ? nullptr : wide.data();
  }
  Values wide;
};

TEST(CallValues, Engine11) {
  Engine11 engine;
  Object const object(&engine);
  EXPECT_EQ(profile_values(api11(), &object, "s", 0, 0, 1), Values{});
  engine.wide = {kLarge};
  EXPECT_EQ(profile_values(api11(), &object, "s", 0, 0, 1), (Values{kLarge}));
  for (Name const name : {"s", "x"}) {
    EXPECT_EQ(call<Method::VCudaEngine_getTensorLocation>(api11(), &object, name),
              api11().value(*name == 's' ? Value::TensorLocation_kHOST : Value::TensorLocation_kDEVICE));
  }
}

// 11: getTensorAddress at 24, setInputTensorAddress at 25, setOutputAllocator at 31, getMaxOutputSize at 33.
class Addresses11 : public Skip<Root, 22> {
 public:
  virtual void const* address(Name /*name*/) { return kept; }
  virtual bool set_input(Name name, void const* address) {
    seen = name;
    kept = address;
    return true;
  }
  void const* kept = nullptr;
  std::string seen;
};
class Allocator11 : public Skip<Addresses11, 5> {
 public:
  virtual bool set_allocator(Name name, void* allocator) {
    seen = name;
    kept = allocator;
    return allocator != nullptr;
  }
};
class Context11 : public Skip<Allocator11, 1> {
 public:
  virtual std::int64_t max_size(Name name) {
    seen = name;
    return kLarge;
  }
};

TEST(CallValues, ContextOf11) {
  Context11 context;
  Object const object(&context);
  EXPECT_TRUE(call<Method::VExecutionContext_setInputTensorAddress>(api11(), &object, "x", &context));
  EXPECT_EQ(context.seen, "x");
  EXPECT_EQ(call<Method::VExecutionContext_getTensorAddress>(api11(), &object, "x"), &context);
  EXPECT_TRUE(call<Method::VExecutionContext_setOutputAllocator>(api11(), &object, "y", &context.seen));
  EXPECT_EQ(context.kept, &context.seen);
  EXPECT_FALSE(call<Method::VExecutionContext_setOutputAllocator>(api11(), &object, "y", nullptr));
  EXPECT_EQ(call<Method::VExecutionContext_getMaxOutputSize>(api11(), &object, "z"), kLarge);
  EXPECT_EQ(context.seen, "z");
}

// 8: setPreviewFeature at 49.
class Config8 : public Skip<Root, 47> {
 public:
  virtual void set_preview(Int feature, bool on) { seen = std::to_string(feature) + (on ? "+" : "-"); }
  std::string seen;
};

TEST(CallValues, PreviewFeatureOf8) {
  Config8 config;
  Object const object(&config);
  call<Method::VBuilderConfig_setPreviewFeature>(api8(), &object,
                                                 api8().value(Value::PreviewFeature_kPROFILE_SHARING_0806), true);
  EXPECT_EQ(config.seen, "2+");
}

}  // namespace
}  // namespace tf2trt::abi
