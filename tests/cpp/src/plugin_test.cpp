#include "tf2trt/plugin.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "support/files.hpp"
#include "support/libraries.hpp"

namespace tf2trt {
namespace {

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

}  // namespace
}  // namespace tf2trt
