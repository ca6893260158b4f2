// What a plugin library does by itself, with fakes in TensorRT's place: versions that are not at hand, and the log.
#include "tf2trt/library.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>

#include "sdk/plugin_v2.hpp"
#include "sdk/plugin_v3.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/plugin_fields.hpp"
#include "support/process.hpp"
#include "support/registry.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt::plugins {
namespace {

using test::Fields;
using test::Registry;

struct Fake {
  int number;
  char const* file;  // a plugin library knows TensorRT by its name
};
void PrintTo(Fake const& fake, std::ostream* out) { *out << fake.number; }

class PluginLibraryTest : public testing::TestWithParam<Fake> {
 protected:
  [[nodiscard]] std::string put() const {
    return test::put_fake("registry-" + std::to_string(GetParam().number), folder_ / GetParam().file);
  }
  static std::string log_of(Registry const& registry) {
    return test::function_in<char const* (*)()>(registry.handle(), "fake_log")();
  }
  static void* find_repeat(Registry const& registry) { return registry.find("Repeat", "1", "my.plugins"); }
  static bool makes(Registry const& registry, Fields const& fields) {
    void* creator = find_repeat(registry);
    if (creator == nullptr) return false;
    if (!registry.takes_v2()) {
      return std::unique_ptr<PluginV3>(static_cast<CreatorV3*>(creator)->createPlugin("", &fields.get(), 1)) != nullptr;
    }
    PluginV2* plugin = static_cast<CreatorV2*>(creator)->createPlugin("", &fields.get());
    if (plugin != nullptr) plugin->destroy();
    return plugin != nullptr;
  }
  // Errors reach the logger of the TensorRT that was told of the library, by that version's own slot.
  static void expect_usable(Registry const& registry) {
    EXPECT_EQ(registry.count(), 1);
    EXPECT_EQ(log_of(registry), "");
    EXPECT_TRUE(makes(registry, Fields().integers("times", {4})));
    EXPECT_FALSE(makes(registry, Fields().integers("times", {0})));
    EXPECT_EQ(log_of(registry), "1 plugin Repeat: times: received 0, expected 1 or more\n");
  }

  test::TempFolder folder_;
};

TEST_P(PluginLibraryTest, RegistersItselfWhenItIsLoaded) {
  EXPECT_TRUE(test::in_own_process([&] {
    Registry const registry(put());
    test::load_or_throw(TF2TRT_USER_PLUGINS);
    expect_usable(registry);
  }));
}

TEST_P(PluginLibraryTest, IsLoadedByTensorRT) {
  EXPECT_TRUE(test::in_own_process([&] {
    Registry const registry(put());
    if (!registry.api().has(abi::Method::IPluginRegistry_loadLibrary)) {
      EXPECT_EQ(GetParam().number, 8501);
      return;
    }
    EXPECT_NE(registry.load_library(TF2TRT_USER_PLUGINS), nullptr);
    expect_usable(registry);
    EXPECT_EQ(registry.load_library(TF2TRT_USER_PLUGINS), nullptr);
    EXPECT_EQ(registry.count(), 1);
  }));
}

TEST_P(PluginLibraryTest, IsLoadedByTf2trt) {
  EXPECT_TRUE(test::in_own_process([&] {
    std::string const path = put();
    Library const library = Library::open(path);
    load_plugin_library(library, TF2TRT_USER_PLUGINS);
    load_plugin_library(library, TF2TRT_USER_PLUGINS);
    expect_usable(Registry(path));
  }));
}

TEST_P(PluginLibraryTest, MayBeLoadedBeforeTensorRT) {
  EXPECT_TRUE(test::in_own_process([&] {
    test::load_or_throw(TF2TRT_USER_PLUGINS);
    std::string const path = put();
    load_plugin_library(Library::open(path), TF2TRT_USER_PLUGINS);
    Registry const registry(path);
    EXPECT_EQ(registry.count(), 1);
    EXPECT_TRUE(makes(registry, Fields().integers("times", {4})));
  }));
}

// It cannot ask such a file what it is, so it leaves it alone; tf2trt and TensorRT still load it there.
TEST_P(PluginLibraryTest, KnowsTensorRTByItsName) {
  EXPECT_TRUE(test::in_own_process([&] {
    std::string const other = folder_ / "other.so";
    std::filesystem::copy_file(put(), other);
    Registry const registry(other);
    test::load_or_throw(TF2TRT_USER_PLUGINS);
    EXPECT_EQ(registry.count(), 0);
    load_plugin_library(Library::open(other), TF2TRT_USER_PLUGINS);
    EXPECT_TRUE(makes(registry, {}));
  }));
}

std::string version_of(testing::TestParamInfo<Fake> const& fake) {
  return "Version" + std::to_string(fake.param.number);
}

INSTANTIATE_TEST_SUITE_P(EveryVersion, PluginLibraryTest,
                         testing::Values(Fake{8501, "libnvinfer.so.8"}, Fake{8600, "libnvinfer.so.8.6.0"},
                                         Fake{8601, "libnvinfer.so.8"}, Fake{100300, "libnvinfer.so.10"},
                                         Fake{101601, "libnvinfer_lean.so.10"}, Fake{110400, "libnvinfer.so.11"}),
                         version_of);

// The host that was met last hears of errors; the other's plugins still work.
TEST(PluginLibrary, OneTensorRTBesideAnother) {
  EXPECT_TRUE(test::in_own_process([] {
    test::TempFolder const folder;
    Registry const old(test::put_fake("registry-8601", folder / "libnvinfer.so.8"));
    Registry const later(test::put_fake("registry-101601", folder / "libnvinfer.so.10"));
    test::load_or_throw(TF2TRT_USER_PLUGINS);
    for (Registry const* registry : {&old, &later}) {
      EXPECT_EQ(registry->count(), 1);
      EXPECT_NE(registry->find("Repeat", "1", "my.plugins"), nullptr);
    }
    // What loading it by itself registered with one is undone when that one loads it; the other keeps its own.
    EXPECT_NE(later.load_library(TF2TRT_USER_PLUGINS), nullptr);
    EXPECT_EQ(later.count(), 1);
    EXPECT_EQ(old.count(), 1);
    EXPECT_NE(old.load_library(TF2TRT_USER_PLUGINS), nullptr);
    EXPECT_EQ(old.count(), 1);
  }));
}

// A library of a version without tables is left alone.
TEST(PluginLibrary, AnUnknownTensorRTIsPassedOver) {
  EXPECT_TRUE(test::in_own_process([] {
    test::TempFolder const folder;
    test::load_or_throw(test::put_fake("full-120000", folder / "libnvinfer.so.12"));
    test::load_or_throw(test::put_fake("full-9300", folder / "libnvinfer.so.9"));
    test::load_or_throw(test::put_fake("nothing", folder / "libnvinfer.so"));
    Registry const known(test::put_fake("registry-110400", folder / "libnvinfer.so.11"));
    test::load_or_throw(TF2TRT_USER_PLUGINS);
    EXPECT_EQ(known.count(), 1);
  }));
}

}  // namespace
}  // namespace tf2trt::plugins
