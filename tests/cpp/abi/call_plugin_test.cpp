// Calls to the plugin registry, the parser and the expression builder, on mock classes as in call_test.cpp.
#include <gtest/gtest.h>

#include <string>

#include "abi/call.hpp"
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

// What arrived.
struct Seen {
  std::string text;
  void const* pointer = nullptr;
  std::size_t size = 0;
  Int number = 0;
};

// The registry is plain. 8: registerCreator at 0, getPluginCreatorList at 1, getPluginCreator at 2.
class Registry8 {
 public:
  virtual bool register_creator(void* creator, Name space) {
    seen = {space, creator, 0, 0};
    return true;
  }
  virtual void* const* creators(Int* count) {
    *count = 1;
    return &only;
  }
  virtual void* creator(Name name, Name version, Name space) {
    seen.text = std::string(name) + " " + version + " " + space;
    return &seen;
  }
  Seen seen;
  void* only = &seen;
};
class Deregister8 : public Skip<Registry8, 4> {
 public:
  virtual bool deregister_creator(void const* creator) {
    seen.pointer = creator;
    return false;
  }
};
class LoadLibrary8 : public Skip<Deregister8, 2> {
 public:
  virtual void* load_library(Name path) {
    seen.text = path;
    return this;
  }
};

// 11: loadLibrary at 6, registerCreator at 8, getAllCreators at 9, getCreator at 10, deregisterCreator at 11.
class LoadLibrary11 : public Skip<Nothing, 6> {
 public:
  virtual void* load_library(Name path) {
    seen.text = path;
    return this;
  }
  Seen seen;
};
class Registry11 : public Skip<LoadLibrary11, 1> {
 public:
  virtual bool register_creator(void* creator, Name space) {
    seen = {space, creator, 0, 0};
    return true;
  }
  virtual void* const* creators(Int* count) {
    *count = 1;
    return &only;
  }
  virtual void* creator(Name name, Name version, Name space) {
    seen.text = std::string(name) + " " + version + " " + space;
    return &seen;
  }
  virtual bool deregister_creator(void const* creator) {
    seen.pointer = creator;
    return false;
  }
  void* only = &seen;
};

template <Method Find, Method List, class Registry>
void check_registry(Api const& api, Registry& registry) {
  void* const object = test::unseen(&registry);
  int creator = 0;
  void* const pointer = &creator;
  EXPECT_TRUE(call<Method::IPluginRegistry_registerCreator>(api, object, pointer, "space"));
  EXPECT_EQ(registry.seen.pointer, &creator);
  EXPECT_EQ(registry.seen.text, "space");
  EXPECT_EQ(call<Find>(api, object, "name", "1", "space"), &registry.seen);
  EXPECT_EQ(registry.seen.text, "name 1 space");
  Int count = 0;
  EXPECT_EQ(*call<List>(api, object, &count), &registry.seen);
  EXPECT_EQ(count, 1);
  registry.seen.pointer = nullptr;
  EXPECT_FALSE(call<Method::IPluginRegistry_deregisterCreator>(api, object, static_cast<void const*>(pointer)));
  EXPECT_EQ(registry.seen.pointer, &creator);
  EXPECT_EQ(call<Method::IPluginRegistry_loadLibrary>(api, object, "plugins.so"), object);
  EXPECT_EQ(registry.seen.text, "plugins.so");
}

TEST(CallPlugin, TheRegistryIsCalledThroughItsOwnTable) {
  LoadLibrary8 old;
  Registry11 later;
  check_registry<Method::IPluginRegistry_getPluginCreator, Method::IPluginRegistry_getPluginCreatorList>(api8(), old);
  check_registry<Method::IPluginRegistry_getCreator, Method::IPluginRegistry_getAllCreators>(api11(), later);
}

// IPluginCreator: getPluginNamespace at 7 in 8; behind a versioned interface's four in 10.
class Creator8 : public Skip<Nothing, 7> {
 public:
  virtual char const* space() { return "of 8"; }
};
class Creator10 : public Skip<Root, 8> {
 public:
  virtual char const* space() { return "of 10"; }
};

TEST(CallPlugin, ACreatorSaysItsNamespace) {
  Creator8 old;
  Creator10 later;
  EXPECT_STREQ(call<Method::IPluginCreator_getPluginNamespace>(api8(), test::unseen(&old)), "of 8");
  EXPECT_STREQ(call<Method::IPluginCreator_getPluginNamespace>(api10(), test::unseen(&later)), "of 10");
}

// The parser's first function takes the model's bytes.
class Parser {
 public:
  virtual bool parse(void const* bytes, std::size_t size, Name path) {
    seen = {path, bytes, size, 0};
    return true;
  }
  Seen seen;
};

TEST(CallPlugin, TheParserTakesBytes) {
  char const bytes[] = "onnx";
  for (Api const& api : {api8(), api10(), api11()}) {
    Parser parser;
    EXPECT_TRUE(call<Method::IParser_parse>(api, test::unseen(&parser), static_cast<void const*>(bytes), std::size_t{4},
                                            "m.onnx"));
    EXPECT_EQ(parser.seen.pointer, bytes);
    EXPECT_EQ(parser.seen.size, 4U);
    EXPECT_EQ(parser.seen.text, "m.onnx");
  }
}

// VExprBuilder: constant at 2, operation at 3.
class Expressions : public Skip<Root, 1> {
 public:
  virtual void const* operation(Int which, void const* a, void const* b) {
    seen = {"", a, 0, which};
    return b;
  }
  Seen seen;
};

TEST(CallPlugin, ExpressionsAreMadeThroughTheImplementation) {
  Expressions expressions;
  Object const object(&expressions);
  int a = 0;
  int b = 0;
  for (Api const& api : {api8(), api10(), api11()}) {
    Int const which = api.value(Value::DimensionOperation_kCEIL_DIV);
    void const* const left = &a;
    void const* const right = &b;
    EXPECT_EQ(call<Method::VExprBuilder_operation>(api, &object, which, left, right), &b);
    EXPECT_EQ(expressions.seen.number, 8);
    EXPECT_EQ(expressions.seen.pointer, &a);
  }
}

}  // namespace
}  // namespace tf2trt::abi
