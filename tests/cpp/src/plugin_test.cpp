#include "tf2trt/plugin.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/onnx_writer.hpp"

namespace tf2trt {
namespace {

using test::throws;

TEST(Plugin, TheLibraryBesideIsRegisteredOnce) {
  test::TempFolder const folder;
  Library const library = Library::open(test::put_fake("full-8600", folder / "libnvinfer.so.8"));
  std::string const plugins = test::put_fake("plugins", folder / "libnvinfer_plugin.so.8");
  EXPECT_TRUE(register_standard_plugins(library));
  EXPECT_TRUE(register_standard_plugins(library));
  void* handle = dlopen(plugins.c_str(), RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(handle, nullptr);
  auto const calls = reinterpret_cast<int (*)()>(dlsym(handle, "fake_plugin_calls"));
  ASSERT_NE(calls, nullptr);
  EXPECT_EQ(calls(), 1);
}

TEST(Plugin, NoneBesideOrOneThatCannotBeLoaded) {
  test::TempFolder const folder;
  EXPECT_FALSE(register_standard_plugins(Library::open(test::put_fake("full-8600", folder / "libnvinfer.so.8"))));
  test::write_file(folder / "libnvinfer_plugin.so.10", "text");
  EXPECT_FALSE(register_standard_plugins(Library::open(test::put_fake("full-101601", folder / "libnvinfer.so.10"))));
}

TEST(Plugin, RtxAndTheLeanRuntimeHaveNone) {
  test::TempFolder const folder;
  test::put_fake("plugins", folder / "libnvinfer_plugin.so.10");
  test::put_fake("plugins", folder / "libnvinfer_plugin.so.1");
  EXPECT_FALSE(register_standard_plugins(Library::open(test::put_fake("lean-101601", folder / "lean.so"))));
  EXPECT_FALSE(register_standard_plugins(Library::open(test::put_fake("full-10701", folder / "rtx.so"))));
}

// NVIDIA's plugins for 8.6.0, with empty libraries in the place of cuDNN and cuBLAS, which they name as needed.
TEST(Plugin, NvidiasOwn) {
  TF2TRT_REAL_PATH(folder, "TF2TRT_TEST_LIBRARIES", "8.6.0");
  for (char const* name : {"libcublasLt.so.12", "libcublas.so.12", "libcudnn.so.8"}) {
    void* handle = dlopen(name, RTLD_LAZY);
    if (handle == nullptr) handle = dlopen((folder + "/stubs/" + name).c_str(), RTLD_LAZY);
    ASSERT_NE(handle, nullptr) << name;
  }
  EXPECT_TRUE(register_standard_plugins(Library::open(folder + "/libnvinfer.so.8")));
}

class LoadPluginLibraryTest : public testing::Test {
 protected:
  // A fake TensorRT with a registry. A name that plugin libraries do not know, so that none registers itself.
  [[nodiscard]] Library open(std::string const& number) const {
    return Library::open(test::put_fake("registry-" + number, folder_ / ("fake-" + number + ".so")));
  }
  test::TempFolder folder_;
};

TEST_F(LoadPluginLibraryTest, NoSuchFile) {
  Library const library = open("101601");
  for (std::string const& path : {std::string("/no/such/plugins.so"), folder_.path(), std::string()}) {
    EXPECT_TRUE(throws(ErrorKind::kPlugin, {path, "no such plugin library", "check the path"},
                       [&] { load_plugin_library(library, path); }));
  }
}

TEST_F(LoadPluginLibraryTest, AFileThatIsNoLibrary) {
  Library const library = open("101601");
  std::string const path = test::write_file(folder_ / "plugins.so", "text");
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {path, "cannot be loaded", "must be installed"},
                     [&] { load_plugin_library(library, path); }));
}

TEST_F(LoadPluginLibraryTest, ALibraryWithoutPlugins) {
  for (std::string const number : {"8501", "8601", "101601", "110400"}) {
    Library const library = open(number);
    std::string const path = test::put_fake("nothing", folder_ / ("nothing-" + number + ".so"));
    EXPECT_TRUE(throws(ErrorKind::kPlugin,
                       {path, "registers no plugin with TensorRT " + library.version_text().substr(0, 3),
                        "without getPluginCreators and getCreators", "IPluginV3"},
                       [&] { load_plugin_library(library, path); }));
  }
}

TEST_F(LoadPluginLibraryTest, ATensorRTWithoutARegistry) {
  Library const library = Library::open(test::put_fake("full-101601", folder_ / "bare.so"));
  std::string const path = test::put_fake("nothing", folder_ / "plugins.so");
  EXPECT_TRUE(
      throws(ErrorKind::kPlugin, {library.path(), "no plugin registry"}, [&] { load_plugin_library(library, path); }));
}

// Its parser aborts when it meets a plugin.
TEST_F(LoadPluginLibraryTest, TensorRTRtxTakesNone) {
  Library const library = Library::open(test::put_fake("full-10701", folder_ / "rtx.so"));
  std::string const path = test::put_fake("nothing", folder_ / "plugins.so");
  EXPECT_TRUE(throws(ErrorKind::kPlugin,
                     {path, "TensorRT-RTX takes no plugins", "TensorRT-RTX 1.7.1", "tf2trt.surgery.lower_plugins"},
                     [&] { load_plugin_library(library, path); }));
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {"no such plugin library"},
                     [&] { load_plugin_library(library, "/no/such/plugins.so"); }));
}

TEST_F(LoadPluginLibraryTest, AnErrorIsNotRememberedAsDone) {
  Library const library = open("110400");
  std::string const path = test::write_file(folder_ / "plugins.so", "text");
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(throws(ErrorKind::kPlugin, {"cannot be loaded"}, [&] { load_plugin_library(library, path); }));
  }
}

TEST(PluginOperators, ThoseOfOurDomainSortedAndOnce) {
  test::TempFolder const folder;
  test::GraphText graph;
  for (char const* op : {"LeakyReLU", "L2Normalize", "LeakyReLU"}) {
    graph.nodes.push_back({op, "", {"x"}, {"y"}, "tf2trt", {}});
  }
  graph.nodes.push_back({"Relu", "", {"x"}, {"y"}, "", {}});
  graph.nodes.push_back({"Repeat", "", {"x"}, {"y"}, "my.plugins", {}});
  std::string const path = test::write_file(folder / "m.onnx", test::onnx_model(graph));
  EXPECT_EQ(plugin_operators(path), (std::vector<std::string>{"L2Normalize", "LeakyReLU"}));
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {"/no/such/m.onnx"}, [] { plugin_operators("/no/such/m.onnx"); }));
}

}  // namespace
}  // namespace tf2trt
