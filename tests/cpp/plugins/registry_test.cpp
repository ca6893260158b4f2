// The plugin libraries in NVIDIA's own registries, which need no GPU: every library, every way to be registered.
#include "support/registry.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sdk/plugin_v2.hpp"
#include "sdk/plugin_v3.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/plugin_fields.hpp"
#include "support/process.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt::plugins {
namespace {

using test::Fields;
using test::Registry;

struct TensorRT {
  char const* name;
  char const* file;
};
constexpr TensorRT kTensorRTs[] = {{"TensorRT8", "8.6.0/libnvinfer.so.8"},
                                   {"Lean10", "lean-10.16.1/libnvinfer_lean.so.10"},
                                   {"Lean11", "lean-11.4.0/libnvinfer_lean.so.11"}};

struct Known {
  char const* name;
  char const* space;
  Fields fields;  // none of them the default
};
struct Plugins {
  char const* name;
  char const* path;
  std::vector<Known> operators;
};

std::vector<Plugins> plugin_libraries() {
  std::vector<Plugins> all = {
      {"Users", TF2TRT_USER_PLUGINS, {{"Repeat", "my.plugins", Fields().integers("times", {5})}}}};
#ifdef TF2TRT_OWN_PLUGINS
  Fields const l2 = Fields().integers("axes", {1, -1}).reals("epsilon", {0.5F}).integers("lp_normalization", {1});
  all.push_back({"Own",
                 TF2TRT_OWN_PLUGINS,
                 {{"L2Normalize", "tf2trt", l2}, {"LeakyReLU", "tf2trt", Fields().reals("alpha", {0.25F})}}});
#endif
  return all;
}

enum class Way { kLoadLibrary, kDlopen, kDlopenThenLoadLibrary, kBeforeTensorRT, kOurs, kReloaded };
constexpr char const* kWays[] = {"LoadLibrary",    "Dlopen", "DlopenThenLoadLibrary",
                                 "BeforeTensorRT", "Ours",   "Reloaded"};

// What the registry holds once the library was registered; `added` is how many creators that brought.
Registry registered(std::string const& tensorrt, std::string const& plugins, Way way, int& added) {
  if (way == Way::kBeforeTensorRT) test::load_or_throw(plugins);
  Registry registry(tensorrt);
  int const before = registry.count();
  if (way == Way::kDlopen || way == Way::kDlopenThenLoadLibrary) test::load_or_throw(plugins);
  if (way == Way::kOurs) {
    Library const library = Library::open(tensorrt);
    load_plugin_library(library, plugins);
    load_plugin_library(library, plugins);
  } else if (way != Way::kDlopen) {
    void* library = registry.load_library(plugins);
    EXPECT_NE(library, nullptr);
    if (way == Way::kReloaded) {
      registry.deregister_library(library);
      EXPECT_EQ(registry.count(), before);
      EXPECT_NE(registry.load_library(plugins), nullptr);
    }
  }
  added = registry.count() - before;
  return registry;
}

std::vector<char> bytes_of(PluginV2 const& plugin) {
  std::vector<char> bytes(plugin.getSerializationSize());
  plugin.serialize(bytes.data());
  return bytes;
}

// Created from fields, cloned, written and created again: the same attributes every time.
void check_v2(CreatorV2& creator, Known const& known) {
  PluginV2* plain = creator.createPlugin("layer", nullptr);
  PluginV2* plugin = creator.createPlugin("layer", &known.fields.get());
  ASSERT_NE(plain, nullptr);
  ASSERT_NE(plugin, nullptr);
  EXPECT_STREQ(plugin->getPluginType(), known.name);
  EXPECT_STREQ(plugin->getPluginNamespace(), known.space);
  auto const bytes = bytes_of(*plugin);
  EXPECT_NE(bytes, bytes_of(*plain));
  PluginV2* clone = plugin->clone();
  PluginV2* again = creator.deserializePlugin("layer", bytes.data(), bytes.size());
  ASSERT_NE(clone, nullptr);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(bytes_of(*clone), bytes);
  EXPECT_EQ(bytes_of(*again), bytes);
  for (PluginV2* one : {plain, plugin, clone, again}) one->destroy();
}

auto values_of(PluginV3& plugin) {
  return test::values_of(*static_cast<RuntimeV3*>(plugin.getCapabilityInterface(2))->getFieldsToSerialize());
}

void check_v3(CreatorV3& creator, Known const& known) {
  std::unique_ptr<PluginV3> const plugin(creator.createPlugin("layer", &known.fields.get(), 1));
  ASSERT_NE(plugin, nullptr);
  auto& runtime = static_cast<RuntimeV3&>(*plugin->getCapabilityInterface(2));
  EXPECT_STREQ(static_cast<CoreV3*>(plugin->getCapabilityInterface(0))->getPluginName(), known.name);
  std::unique_ptr<PluginV3> const clone(plugin->clone());
  std::unique_ptr<PluginV3> const again(creator.createPlugin("layer", runtime.getFieldsToSerialize(), 2));
  ASSERT_NE(clone, nullptr);
  ASSERT_NE(again, nullptr);
  for (PluginV3* one : {plugin.get(), clone.get(), again.get()}) {
    EXPECT_EQ(values_of(*one), test::values_of(known.fields.get()));
  }
}

void check(Registry const& registry, Known const& known) {
  void* creator = registry.find(known.name, "1", known.space);
  ASSERT_NE(creator, nullptr) << known.name;
  EXPECT_EQ(registry.find(known.name, "2", known.space), nullptr);
  EXPECT_EQ(registry.find(known.name, "1", ""), nullptr);
  EXPECT_EQ(registry.find(known.name, "1", "elsewhere"), nullptr);
  if (registry.takes_v2()) {
    check_v2(*static_cast<CreatorV2*>(creator), known);
  } else {
    check_v3(*static_cast<CreatorV3*>(creator), known);
  }
}

class RegistryTest : public testing::TestWithParam<std::tuple<TensorRT, Plugins, Way>> {};

TEST_P(RegistryTest, FindsAndMakesEveryOperator) {
  auto const& [tensorrt, plugins, way] = GetParam();
  TF2TRT_REAL_PATH(path, "TF2TRT_TEST_LIBRARIES", tensorrt.file);
  EXPECT_TRUE(test::in_own_process([&, &library = plugins, how = way] {
    int added = 0;
    Registry const registry = registered(path, library.path, how, added);
    EXPECT_EQ(added, static_cast<int>(library.operators.size()));
    for (auto const& known : library.operators) check(registry, known);
  }));
}

std::string name_of(testing::TestParamInfo<RegistryTest::ParamType> const& info) {
  auto const& [tensorrt, plugins, way] = info.param;
  return std::string(tensorrt.name) + plugins.name + kWays[static_cast<std::size_t>(way)];
}

INSTANTIATE_TEST_SUITE_P(EveryWay, RegistryTest,
                         testing::Combine(testing::ValuesIn(kTensorRTs), testing::ValuesIn(plugin_libraries()),
                                          testing::Values(Way::kLoadLibrary, Way::kDlopen, Way::kDlopenThenLoadLibrary,
                                                          Way::kBeforeTensorRT, Way::kOurs, Way::kReloaded)),
                         name_of);

// A program may have more than one, and both plugin libraries in each.
TEST(Registries, EveryTensorRTAndEveryLibraryInOneProcess) {
  TF2TRT_REAL_PATH(folder, "TF2TRT_TEST_LIBRARIES", "");
  EXPECT_TRUE(test::in_own_process([&] {
    for (auto const& tensorrt : kTensorRTs) {
      Library const library = Library::open(folder + tensorrt.file);
      for (auto const& plugins : plugin_libraries()) load_plugin_library(library, plugins.path);
    }
    for (auto const& tensorrt : kTensorRTs) {
      for (auto const& plugins : plugin_libraries()) {
        for (auto const& known : plugins.operators) check(Registry(folder + tensorrt.file), known);
      }
    }
  }));
}

// The same file under two names, as from a wheel and a build: the second has nothing to add.
TEST(Registries, ASecondCopyOfALibraryIsNoError) {
  TF2TRT_REAL_PATH(folder, "TF2TRT_TEST_LIBRARIES", "");
  for (auto const& tensorrt : kTensorRTs) {
    EXPECT_TRUE(test::in_own_process([&] {
      test::TempFolder const copies;
      std::filesystem::copy_file(TF2TRT_USER_PLUGINS, copies / "copy.so");
      Registry const registry(folder + tensorrt.file);
      test::load_or_throw(TF2TRT_USER_PLUGINS);
      int const count = registry.count();
      test::load_or_throw(copies / "copy.so");
      EXPECT_EQ(registry.count(), count);
      check(registry, plugin_libraries().front().operators.front());
    }));
  }
}

}  // namespace
}  // namespace tf2trt::plugins
