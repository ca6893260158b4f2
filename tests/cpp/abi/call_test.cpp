// The mock classes have real virtual functions at the slots of the tables: the compiler lays them out as it laid out
// NVIDIA's.
#include "abi/call.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/apis.hpp"
#include "support/mock.hpp"

namespace tf2trt::abi {
namespace {

using test::api10;
using test::api11;
using test::api8;
using test::Nothing;
using test::Object;
using test::Root;
using test::Skip;

constexpr std::int64_t kLarge = 1'099'511'627'776;  // past 32 bits

class HostMemory : public Root {
 public:
  virtual void* data() { return &bytes; }
  virtual std::size_t size() { return std::numeric_limits<std::size_t>::max() - 5; }
  int bytes = 0;
};

TEST(Call, PointerAndSizeComeBack) {
  HostMemory memory;
  Object const object(&memory);
  for (Api const& api : {api8(), api10(), api11()}) {
    EXPECT_EQ(call<Method::VHostMemory_data>(api, &object), &memory.bytes);
    EXPECT_EQ(call<Method::VHostMemory_size>(api, &object), std::numeric_limits<std::size_t>::max() - 5);
  }
}

// Seen: what arrived in a virtual function.
struct Seen {
  std::string name;
  std::int64_t number = 0;
  std::size_t size = 0;
  bool flag = false;
  void const* pointer = nullptr;
  Shape shape;
};

// VBuilderConfig of 11: setFlag at 9, createTimingCache at 29, setTimingCache at 30, setMemoryPoolLimit at 32.
class ConfigFlags : public Skip<Root, 7> {
 public:
  virtual void set_flag(Int flag) { seen.number = flag; }
  Seen seen;
};
class Config11 : public Skip<ConfigFlags, 19> {
 public:
  virtual void* create_timing_cache(void const* bytes, std::size_t size) {
    seen.pointer = bytes;
    seen.size = size;
    return this;
  }
  virtual bool set_timing_cache(void const* cache, bool ignore) {
    seen.pointer = cache;
    seen.flag = ignore;
    return !ignore;
  }
  virtual void const* get_timing_cache() { return &seen; }
  virtual void set_memory_pool_limit(Int pool, std::size_t size) {
    seen.number = pool;
    seen.size = size;
  }
};

TEST(Call, ArgumentsArrive) {
  Config11 config;
  Object const object(&config);
  Seen const& seen = config.seen;
  call<Method::VBuilderConfig_setFlag>(api11(), &object, -7);
  EXPECT_EQ(seen.number, -7);
  char const bytes[] = "cache";
  EXPECT_EQ(call<Method::VBuilderConfig_createTimingCache>(api11(), &object, bytes, sizeof bytes), &config);
  EXPECT_EQ(seen.pointer, bytes);
  EXPECT_EQ(seen.size, sizeof bytes);
  for (bool const ignore : {true, false}) {
    EXPECT_EQ(call<Method::VBuilderConfig_setTimingCache>(api11(), &object, nullptr, ignore), !ignore);
    EXPECT_EQ(seen.flag, ignore);
    EXPECT_EQ(seen.pointer, nullptr);
  }
  EXPECT_EQ(call<Method::VBuilderConfig_getTimingCache>(api11(), &object), &seen);
}

TEST(Call, NarrowArgumentsAreWidenedToTheSignature) {
  Config11 config;
  Object const object(&config);
  int const small = 5;
  call<Method::VBuilderConfig_setMemoryPoolLimit>(api11(), &object, 4, small);
  EXPECT_EQ(config.seen.number, 4);
  EXPECT_EQ(config.seen.size, 5U);
  call<Method::VBuilderConfig_setMemoryPoolLimit>(api11(), &object, 4, std::size_t{kLarge});
  EXPECT_EQ(config.seen.size, std::size_t{kLarge});
}

// VTensor: getName at 3, getDimensions at 5; getType at 7 and isShapeTensor at 21 in 8, at 6 and 15 in 11.
class TensorName : public Skip<Root, 1> {
 public:
  virtual char const* name() { return "the name"; }
};
class Dimensions8 : public Skip<TensorName, 1> {
 public:
  virtual Dims32 dimensions() { return dims; }
  Dims32 dims{3, {1, -1, 224}};
};
class Type8 : public Skip<Dimensions8, 1> {
 public:
  virtual Int type() { return 8; }
};
class Tensor8 : public Skip<Type8, 13> {
 public:
  virtual bool is_shape_tensor() { return true; }
};
class Dimensions11 : public Skip<TensorName, 1> {
 public:
  virtual Dims64 dimensions() { return dims; }
  virtual Int type() { return 11; }
  Dims64 dims{2, {kLarge, -1}};
};
class Tensor11 : public Skip<Dimensions11, 8> {
 public:
  virtual bool is_shape_tensor() { return true; }
};

TEST(Call, DimsComeBackByValue) {
  Tensor8 narrow;
  Tensor11 wide;
  Object const narrow_object(&narrow);
  Object const wide_object(&wide);
  EXPECT_EQ(call_shape<Method::VTensor_getDimensions>(api8(), &narrow_object), (Shape{1, -1, 224}));
  EXPECT_EQ(call_shape<Method::VTensor_getDimensions>(api11(), &wide_object), (Shape{kLarge, -1}));
  EXPECT_EQ(call_shape<Method::VTensor_getDimensions>(api10(), &wide_object), (Shape{kLarge, -1}));
}

TEST(Call, TheSameCallTakesEachGenerationsSlot) {
  Tensor8 narrow;
  Tensor11 wide;
  Object const narrow_object(&narrow);
  Object const wide_object(&wide);
  EXPECT_STREQ(call<Method::VTensor_getName>(api8(), &narrow_object), "the name");
  EXPECT_STREQ(call<Method::VTensor_getName>(api11(), &wide_object), "the name");
  EXPECT_EQ(call<Method::VTensor_getType>(api8(), &narrow_object), 8);
  EXPECT_EQ(call<Method::VTensor_getType>(api11(), &wide_object), 11);
  EXPECT_TRUE(call<Method::VTensor_isShapeTensor>(api8(), &narrow_object));
  EXPECT_TRUE(call<Method::VTensor_isShapeTensor>(api11(), &wide_object));
}

TEST(Call, NegativeCountIsNoShape) {
  Tensor8 narrow;
  Tensor11 wide;
  narrow.dims.count = -1;
  wide.dims.count = -1;
  Object const narrow_object(&narrow);
  Object const wide_object(&wide);
  EXPECT_EQ(call_shape<Method::VTensor_getDimensions>(api8(), &narrow_object), Shape{});
  EXPECT_EQ(call_shape<Method::VTensor_getDimensions>(api11(), &wide_object), Shape{});
}

TEST(Call, CountIsHeldToWhatFits) {
  EXPECT_EQ(detail::to_shape(Dims64{100, {}}).size(), 8U);
  EXPECT_EQ(detail::to_shape(Dims32{8, {1, 2, 3, 4, 5, 6, 7, 8}}), (Shape{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(detail::to_shape(Dims64{0, {5}}), Shape{});
}

TEST(Call, ShapesBecomeDims) {
  auto const narrow = detail::from_shape<Dims32>({2, -1});
  EXPECT_EQ(narrow.count, 2);
  EXPECT_EQ(narrow.extents[0], 2);
  EXPECT_EQ(narrow.extents[1], -1);
  EXPECT_EQ(narrow.extents[2], 0);
  EXPECT_EQ(detail::from_shape<Dims64>({kLarge}).extents[0], kLarge);
  EXPECT_EQ(detail::from_shape<Dims64>({}).count, 0);
}

class Profile8 : public Root {
 public:
  virtual bool set_dimensions(Name name, Int select, Dims32 dims) {
    seen = {name, select, 0, false, nullptr, detail::to_shape(dims)};
    return true;
  }
  Seen seen;
};
class Profile11 : public Root {
 public:
  virtual bool set_dimensions(Name name, Int select, Dims64 const& dims) {
    seen = {name, select, 0, false, nullptr, detail::to_shape(dims)};
    return true;
  }
  Seen seen;
};

TEST(Call, ProfileTakesDimsByValueIn8AndByReferenceLater) {
  Profile8 narrow;
  Profile11 wide;
  Object const narrow_object(&narrow);
  Object const wide_object(&wide);
  Shape const shape = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_TRUE(set_profile_dimensions(api8(), &narrow_object, "x", 2, shape));
  EXPECT_EQ(narrow.seen.shape, shape);
  EXPECT_EQ(narrow.seen.name, "x");
  EXPECT_EQ(narrow.seen.number, 2);
  for (Api const& api : {api10(), api11()}) {
    wide.seen = {};
    EXPECT_TRUE(set_profile_dimensions(api, &wide_object, "x", 1, shape));
    EXPECT_EQ(wide.seen.shape, shape);
    EXPECT_EQ(wide.seen.name, "x");
    EXPECT_EQ(wide.seen.number, 1);
  }
}

template <class Dims, int Before>
class Context : public Skip<Root, Before> {
 public:
  virtual bool set_input_shape(Name name, Dims const& dims) {
    seen = {name, 0, 0, false, nullptr, detail::to_shape(dims)};
    return true;
  }
  Seen seen;
};

TEST(Call, ContextTakesDimsByReference) {
  Context<Dims32, 27> context8;
  Context<Dims64, 19> context10;
  Context<Dims64, 18> context11;
  Object const object8(&context8);
  Object const object10(&context10);
  Object const object11(&context11);
  EXPECT_TRUE(set_input_shape(api8(), &object8, "x", {8, 3}));
  EXPECT_TRUE(set_input_shape(api10(), &object10, "y", {8, 3}));
  EXPECT_TRUE(set_input_shape(api11(), &object11, "z", {}));
  EXPECT_EQ(context8.seen.shape, (Shape{8, 3}));
  EXPECT_EQ(context10.seen.shape, (Shape{8, 3}));
  EXPECT_EQ(context11.seen.shape, Shape{});
  EXPECT_EQ(context8.seen.name + context10.seen.name + context11.seen.name, "xyz");
}

class Runtime8 : public Root {
 public:
  virtual void* deserialize(void const* plan, std::size_t size, void* factory) {
    seen = {"", 0, size, factory == nullptr, plan, {}};
    return this;
  }
  Seen seen;
};
class Runtime10 : public Skip<Root, 1> {
 public:
  virtual void* deserialize(void const* plan, std::size_t size) {
    seen = {"", 0, size, true, plan, {}};
    return this;
  }
  Seen seen;
};

TEST(Call, PlansArriveInEveryGeneration) {
  Runtime8 old;
  Runtime10 later;
  Object const old_object(&old);
  Object const later_object(&later);
  char const plan[] = "ftrt";
  EXPECT_EQ(deserialize_engine(api8(), &old_object, plan, 4), &old);
  EXPECT_EQ(deserialize_engine(api10(), &later_object, plan, 4), &later);
  for (Seen const& seen : {old.seen, later.seen}) {
    EXPECT_EQ(seen.pointer, plan);
    EXPECT_EQ(seen.size, 4U);
    EXPECT_TRUE(seen.flag);
  }
}

class Engine8 : public Skip<Root, 9> {
 public:
  virtual void* create_context() { return this; }
};
class Engine10 : public Skip<Root, 3> {
 public:
  virtual void* create_context(Int strategy) {
    allocation = strategy;
    return this;
  }
  Int allocation = -1;
};

TEST(Call, ContextsAreMadeInEveryGeneration) {
  Engine8 old;
  Engine10 later;
  Object const old_object(&old);
  Object const later_object(&later);
  EXPECT_EQ(create_context(api8(), &old_object), &old);
  EXPECT_EQ(create_context(api10(), &later_object), &later);
  EXPECT_EQ(later.allocation, 0);
}

// The parser is plain: its methods are in its own table. parseFromFile at 1, getNbErrors at 3, getError at 4.
class Parser11 : public Skip<Nothing, 1> {
 public:
  virtual bool parse_from_file(Name path, Int verbosity) {
    seen.name = path;
    seen.number = verbosity;
    return false;
  }
  virtual void unused_2() {}
  virtual Int error_count() { return 3; }
  virtual void const* error(Int index) { return index == 2 ? this : nullptr; }
  virtual void clear_errors() {}
  virtual ~Parser11() = default;
  Seen seen;
};

TEST(Call, ParserIsCalledThroughItsOwnTable) {
  Parser11 parser;
  void* const object = test::unseen(&parser);
  EXPECT_FALSE(call<Method::IParser_parseFromFile>(api11(), object, "m.onnx", 2));
  EXPECT_EQ(parser.seen.name, "m.onnx");
  EXPECT_EQ(parser.seen.number, 2);
  EXPECT_EQ(call<Method::IParser_getNbErrors>(api11(), object), 3);
  EXPECT_EQ(call<Method::IParser_getError>(api11(), object, 2), &parser);
  EXPECT_EQ(call<Method::IParser_getError>(api11(), object, 1), nullptr);
}

}  // namespace
}  // namespace tf2trt::abi
