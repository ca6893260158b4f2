// Networks with tf2trt's operators, and plugin libraries, where the builder has no plugins: TensorRT-RTX.
#include <gtest/gtest.h>

#include "support/errors.hpp"
#include "support/rtx.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt {
namespace {

using test::throws;

class BuilderPluginTest : public test::RtxTest {
 protected:
  static test::FunctionText leaky_relu() {
    return {"LeakyReLU", "tf2trt", {"X"}, {"Y"}, {{"LeakyRelu", "", {"X"}, {"Y"}, "", {{"alpha", 0.1F}}}}};
  }
};

TEST_F(BuilderPluginTest, ThePluginIsNamedWithTheWayOut) {
  std::string const path = write(test::onnx_model(test::small_graph("2", "LeakyReLU", "tf2trt")));
  EXPECT_TRUE(
      throws(ErrorKind::kPlugin,
             {path, "TensorRT-RTX takes no plugins", "LeakyReLU", "standard operators", "tf2trt.surgery.lower_plugins"},
             [&] { build(library(), path, {}); }));
}

TEST_F(BuilderPluginTest, EveryPluginIsNamed) {
  test::GraphText graph = test::small_graph("2", "LeakyReLU", "tf2trt");
  graph.nodes[0] = {"L2Normalize", "norm", {"x"}, {"product"}, "tf2trt", {}};
  std::string const path = write(test::onnx_model(graph));
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {"L2Normalize, LeakyReLU"}, [&] { build(library(), path, {}); }));
}

// The parser would take the function, but a build that is asked for the plugin must not quietly be another.
TEST_F(BuilderPluginTest, AFunctionInTheFileChangesNothing) {
  std::string const path = write(test::onnx_model(test::small_graph("2", "LeakyReLU", "tf2trt"), {leaky_relu()}));
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {path, "LeakyReLU"}, [&] { build(library(), path, {}); }));
}

TEST_F(BuilderPluginTest, APluginLibraryIsRefused) {
  BuilderOptions options = usual();
  options.plugin_libraries = {test::put_fake("nothing", files_ / "plugins.so")};
  std::string const path = small();
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {options.plugin_libraries[0], "TensorRT-RTX takes no plugins"},
                     [&] { build(library(), path, options); }));
  options.plugin_libraries = {"/no/such/plugins.so"};
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {"/no/such/plugins.so", "no such plugin library"},
                     [&] { build(library(), path, options); }));
}

TEST_F(BuilderPluginTest, WithoutPluginsNoneAreLoaded) {
  EXPECT_TRUE(build(library(), small(), usual()).plugin_libraries.empty());
}

// Functions of other domains are the parser's affair.
TEST_F(BuilderPluginTest, OtherFunctionsAreParsedAsEver) {
  test::FunctionText function = leaky_relu();
  function.name = "MyAct";
  function.domain = "my.domain";
  std::string const path = write(test::onnx_model(test::small_graph("2", "MyAct", "my.domain"), {function}));
  EXPECT_GT(build(library(), path, {}).size(), 28U);
}

}  // namespace
}  // namespace tf2trt
