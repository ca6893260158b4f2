// The verdict of the real TensorRT-RTX.
#include "tf2trt/support.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "support/errors.hpp"
#include "support/rtx.hpp"

namespace tf2trt {
namespace {

using test::throws;

class SupportTest : public test::RtxTest {
 protected:
  [[nodiscard]] Support ask(test::GraphText const& graph, std::vector<test::FunctionText> const& functions = {}) {
    return supports(library(), write(test::onnx_model(graph, functions)));
  }
};

TEST_F(SupportTest, AWholeModel) {
  Support const support = supports(library(), small());
  EXPECT_TRUE(support.supported);
  EXPECT_EQ(support.nodes, 2U);
  EXPECT_TRUE(support.unsupported.empty());
  EXPECT_EQ(support.reason, "");
}

TEST_F(SupportTest, EveryUnsupportedNodeWithItsOriginAndReason) {
  test::GraphText graph = test::small_graph();
  graph.nodes[0].op_type = "Unique";
  graph.nodes[0].metadata = {{"tf2trt.layer", "dense"}, {"tf2trt.op", "UniqueV2"}};
  graph.nodes.push_back({"Relu", "between", {"y"}, {"z"}, "", {}});
  graph.nodes.push_back({"NoSuchOp", "", {"z"}, {"zz"}, "my.domain", {}});
  Support const support = ask(graph);
  EXPECT_FALSE(support.supported);
  EXPECT_EQ(support.nodes, 4U);
  ASSERT_EQ(support.unsupported.size(), 2U);
  auto const& first = support.unsupported[0];
  EXPECT_EQ(first.index, 0U);
  EXPECT_EQ(first.name, "dense/MatMul");
  EXPECT_EQ(first.op_type, "Unique");
  EXPECT_EQ(first.origin, "layer dense (op UniqueV2)");
  EXPECT_EQ(first.reason, "TensorRT does not support the operator Unique");
  auto const& last = support.unsupported[1];
  EXPECT_EQ(last.index, 3U);
  EXPECT_EQ(last.name, "");
  EXPECT_EQ(last.domain, "my.domain");
  EXPECT_EQ(last.origin, "");
  EXPECT_EQ(last.reason, "Plugin not found, are the plugin name, version, and namespace correct?");
  EXPECT_EQ(support.reason, "");
}

TEST_F(SupportTest, AnInputThatTensorRtLacksIsTheReasonOfItsNodes) {
  constexpr int kString = 8;
  test::GraphText graph = test::small_graph();
  graph.nodes.push_back({"Identity", "words", {"t"}, {"u"}, "", {}});
  graph.inputs.push_back(test::onnx_value("t", {"2"}, kString));
  graph.outputs.push_back(test::onnx_value("u", {"2"}, kString));
  Support const support = ask(graph);
  EXPECT_FALSE(support.supported);
  ASSERT_EQ(support.unsupported.size(), 1U);
  EXPECT_EQ(support.unsupported[0].index, 2U);
  EXPECT_EQ(support.unsupported[0].reason.rfind("input \"t\": ", 0), 0U) << support.unsupported[0].reason;
  EXPECT_NE(support.reason.find("input \"t\""), std::string::npos);
}

TEST_F(SupportTest, AShapeThatCannotBe) {
  test::GraphText graph;
  graph.nodes = {{"Relu", "relu", {"x"}, {"r"}, "", {}}, {"Add", "sum", {"r", "w"}, {"y"}, "", {}}};
  graph.inputs = {test::onnx_value("x", {"2", "6"})};
  graph.outputs = {test::onnx_value("y", {"2", "6"})};
  graph.weights = {test::onnx_weights("w", {5}, {1, 2, 3, 4, 5})};
  Support const support = ask(graph);
  ASSERT_EQ(support.unsupported.size(), 1U);
  EXPECT_EQ(support.unsupported[0].name, "sum");
  EXPECT_NE(support.unsupported[0].reason, "");
  EXPECT_EQ(support.unsupported[0].reason.find(".cpp"), std::string::npos) << support.unsupported[0].reason;
}

TEST_F(SupportTest, ANodeInAFunctionIsToldWithTheNodeThatCallsIt) {
  test::GraphText graph = test::small_graph("n", "MyAct", "my.domain");
  graph.nodes[1].metadata = {{"tf2trt.layer", "act"}};
  Support const support = ask(graph, {{"MyAct",
                                       "my.domain",
                                       {"X"},
                                       {"Y"},
                                       {{"Relu", "r", {"X"}, {"R"}, "", {}},
                                        {"Relu", "q", {"R"}, {"Q"}, "", {}},
                                        {"Unique", "inner", {"Q"}, {"Y"}, "", {}}}}});
  ASSERT_EQ(support.unsupported.size(), 1U);
  EXPECT_EQ(support.unsupported[0].index, 1U);
  EXPECT_EQ(support.unsupported[0].name, "inner");
  EXPECT_EQ(support.unsupported[0].op_type, "Unique");
  EXPECT_EQ(support.unsupported[0].domain, "");
  EXPECT_EQ(support.unsupported[0].origin, "layer act");
  EXPECT_NE(support.unsupported[0].reason.find("inside MyAct \"dense/act\": "), std::string::npos);
}

// tf2trt's plugins are lowered for TensorRT-RTX before a build: until then they are unsupported, functions or not.
TEST_F(SupportTest, PluginsAreUnsupportedNodes) {
  test::FunctionText const function = {
      "LeakyReLU", "tf2trt", {"X"}, {"Y"}, {{"LeakyRelu", "", {"X"}, {"Y"}, "", {{"alpha", 0.1F}}}}};
  for (auto const& functions : {std::vector<test::FunctionText>{}, std::vector<test::FunctionText>{function}}) {
    Support const support = ask(test::small_graph("n", "LeakyReLU", "tf2trt"), functions);
    EXPECT_FALSE(support.supported);
    ASSERT_EQ(support.unsupported.size(), 1U);
    EXPECT_EQ(support.unsupported[0].domain, "tf2trt");
    EXPECT_EQ(support.unsupported[0].reason, "TensorRT-RTX takes no plugins");
  }
}

TEST_F(SupportTest, APluginLibraryIsRefused) {
  std::string const path = small();
  std::string const plugins = test::put_fake("nothing", files_ / "plugins.so");
  EXPECT_TRUE(throws(ErrorKind::kPlugin, {plugins, "TensorRT-RTX takes no plugins"},
                     [&] { (void)supports(library(), path, {plugins}); }));
}

TEST_F(SupportTest, ACycleIsTheModelsOwnReason) {
  test::GraphText graph = test::small_graph();
  graph.nodes[0].inputs = {"y", "w"};
  Support const support = ask(graph);
  EXPECT_FALSE(support.supported);
  EXPECT_TRUE(support.unsupported.empty());
  EXPECT_NE(support.reason.find("sort"), std::string::npos) << support.reason;
}

TEST_F(SupportTest, AGraphWithoutNodes) {
  test::GraphText graph;
  graph.inputs = {test::onnx_value("x", {"2"})};
  graph.outputs = {test::onnx_value("x", {"2"})};
  Support const support = ask(graph);
  EXPECT_EQ(support.nodes, 0U);
  EXPECT_TRUE(support.supported);
}

TEST_F(SupportTest, MissingAndDamagedFiles) {
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {"/no/such/m.onnx", "no such file"},
                     [&] { (void)supports(library(), "/no/such/m.onnx"); }));
  std::string const bytes = test::onnx_model(test::small_graph());
  for (std::string const& damaged : {std::string(), bytes.substr(0, bytes.size() - 1), bytes.substr(0, 20)}) {
    std::string const path = write(damaged);
    EXPECT_TRUE(throws(ErrorKind::kOnnx, {path}, [&] { (void)supports(library(), path); })) << damaged.size();
  }
}

// The log is one per process; the verdicts are not.
TEST_F(SupportTest, FourThreadsAtOnce) {
  std::string const good = small();
  std::string const bad = test::write_file(files_ / "bad.onnx", test::onnx_model(test::small_graph("n", "Unique")));
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::vector<int> right(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 5; ++turn) {
        Support const support = supports(library(), i % 2 == 0 ? good : bad);
        bool const as_it_is = i % 2 == 0 ? support.supported : support.unsupported.size() == 1;
        right[static_cast<std::size_t>(i)] += static_cast<int>(as_it_is);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, (std::vector<int>{5, 5, 5, 5}));
}

}  // namespace
}  // namespace tf2trt
