// The verdict in each generation: the parser is a fake that answers as those of NVIDIA's do.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "abi/object.hpp"
#include "support/errors.hpp"
#include "support/fake_parser.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/onnx_writer.hpp"
#include "tf2trt/plugin.hpp"
#include "tf2trt/support.hpp"

namespace tf2trt {
namespace {

using test::FakeScript;

struct Generation {
  int number;
  char const* library;
  char const* parser;
  bool has_v2;
};

// For GoogleTest's messages.
void PrintTo(Generation const& generation, std::ostream* stream) { *stream << generation.number; }

constexpr Generation k850{8501, "libnvinfer.so.8", "libnvonnxparser.so.8", false};
constexpr Generation k860{8600, "libnvinfer.so.8", "libnvonnxparser.so.8", false};
constexpr Generation k861{8601, "libnvinfer.so.8", "libnvonnxparser.so.8", false};
constexpr Generation k100{100001, "libnvinfer.so.10", "libnvonnxparser.so.10", false};
constexpr Generation k101{100100, "libnvinfer.so.10", "libnvonnxparser.so.10", true};
constexpr Generation k111{110100, "libnvinfer.so.11", "libnvonnxparser.so.11", true};
constexpr Generation kRtx{10701, "libtensorrt_rtx.so.1.7.1", "libtensorrt_onnxparser_rtx.so.1.7.1", true};

class SupportGenerationsTest : public testing::TestWithParam<Generation> {
 protected:
  void SetUp() override {
    std::string const fake = "parser-" + std::to_string(GetParam().number);
    std::string const parser = test::put_fake(fake, files_ / GetParam().parser);
    library_ = std::make_unique<Library>(Library::open(test::put_fake(fake, files_ / GetParam().library)));
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
    auto const get = reinterpret_cast<FakeScript* (*)()>(dlsym(dlopen(parser.c_str(), RTLD_NOW), "fake_script"));
    ASSERT_NE(get, nullptr);
    script_ = get();
    script_->operators = {"MatMul", "LeakyRelu", "Relu", "Identity"};
  }
  void TearDown() override { EXPECT_EQ(abi::live_objects(), 0); }

  // Four nodes: MatMul, LeakyRelu, and Relu twice.
  static test::GraphText four() {
    test::GraphText graph = test::small_graph();
    graph.nodes.push_back({"Relu", "third", {"y"}, {"y3"}, "", {}});
    graph.nodes.push_back({"Relu", "fourth", {"y3"}, {"y4"}, "", {}});
    return graph;
  }
  Support ask(test::GraphText const& graph, std::vector<std::string> const& plugins = {},
              std::vector<test::FunctionText> const& functions = {}) {
    bytes_ = test::onnx_model(graph, functions);
    return supports(*library_, test::write_file(files_ / "m.onnx", bytes_), plugins);
  }
  // An error of a node of the main graph.
  void fail(int node, std::string const& words, test::GraphText const& graph) {
    auto const& text = graph.nodes[static_cast<std::size_t>(node)];
    script_->errors.push_back({node, words, text.name, text.op_type});
  }
  static std::vector<std::size_t> indexes(Support const& support) {
    std::vector<std::size_t> found;
    found.reserve(support.unsupported.size());
    for (auto const& node : support.unsupported) found.push_back(node.index);
    return found;
  }

  test::TempFolder files_;
  std::unique_ptr<Library> library_;
  FakeScript* script_ = nullptr;
  std::string bytes_;
};

using Indexes = std::vector<std::size_t>;
using Lists = std::vector<std::vector<std::size_t>>;

TEST_P(SupportGenerationsTest, AWholeModelIsAskedForOnce) {
  script_->supported = true;
  script_->graphs = {{0, 1}};
  Support const support = ask(test::small_graph());
  EXPECT_TRUE(support.supported);
  EXPECT_EQ(support.nodes, 2U);
  EXPECT_EQ(script_->asked, 1);
  EXPECT_EQ(script_->parsed, 0);
  EXPECT_EQ(script_->bytes, bytes_);
  EXPECT_EQ(script_->path, files_ / "m.onnx");
}

// A list's flag is "unknown" when it is false: its nodes are no verdict.
TEST_P(SupportGenerationsTest, TheNodeInNoListIsTheUnsupportedOne) {
  script_->graphs = {{0}, {2, 3}};
  auto graph = four();
  graph.nodes[1].metadata = {{"tf2trt.layer", "act"}};
  fail(1, "Assertion failed: alpha > 0 && \"alpha is negative.\"", graph);
  Support const support = ask(graph);
  EXPECT_FALSE(support.supported);
  ASSERT_EQ(indexes(support), Indexes{1});
  EXPECT_EQ(support.unsupported[0].name, "dense/act");
  EXPECT_EQ(support.unsupported[0].op_type, "LeakyRelu");
  EXPECT_EQ(support.unsupported[0].origin, "layer act");
  EXPECT_EQ(support.unsupported[0].reason, "alpha is negative.");
  EXPECT_EQ(script_->parsed, 0);
}

// The lists leave out the last error's node only.
TEST_P(SupportGenerationsTest, EveryErrorIsTold) {
  script_->graphs = {{0, 1, 2}};
  auto const graph = four();
  fail(3, "false", graph);
  fail(1, "first", graph);
  fail(1, "second", graph);
  fail(1, "first", graph);
  Support const support = ask(graph);
  ASSERT_EQ(indexes(support), (Indexes{1, 3}));
  EXPECT_EQ(support.unsupported[0].reason, "first; second");
  EXPECT_EQ(support.unsupported[1].reason, "TensorRT does not support the operator Relu");
}

// ONNX Runtime has no use for them, so the lists leave them out; the parser takes them.
TEST_P(SupportGenerationsTest, NodesThatAreOnlyLeftOutOfTheLists) {
  auto graph = four();
  graph.nodes[1].op_type = "NonZero";
  graph.nodes[2].op_type = "NonMaxSuppression";
  script_->graphs = {{0}, {3}};
  script_->parses = true;
  EXPECT_TRUE(ask(graph).supported);
  EXPECT_EQ(script_->parsed, 1);
  script_->graphs = {{0}};
  fail(3, "no", graph);
  EXPECT_EQ(indexes(ask(graph)), Indexes{3});
}

TEST_P(SupportGenerationsTest, AnInputsErrorIsThatOfTheNodesItFeeds) {
  script_->graphs = {{0, 1, 2}};
  script_->errors = {{-1, "Assertion failed: no && \"No such type.\"", "", "", "t"}};
  Support const support = ask(four());
  ASSERT_EQ(indexes(support), Indexes{3});
  EXPECT_EQ(support.unsupported[0].reason, "input \"t\": No such type.");
  EXPECT_EQ(support.reason, "input \"t\": No such type.");
}

TEST_P(SupportGenerationsTest, AnErrorOfTheModelNamesNoNode) {
  script_->errors = {{-1, "Failed to sort.", "", "", "ModelImporter.cpp"}};
  for (Lists const& graphs : {Lists{}, Lists{{0, 1, 2, 3}}}) {
    script_->graphs = graphs;
    Support const support = ask(four());
    EXPECT_FALSE(support.supported);
    EXPECT_EQ(support.reason, "Failed to sort.");
    EXPECT_TRUE(support.unsupported.empty());
  }
}

// No list and no error at all: what parsing says counts.
TEST_P(SupportGenerationsTest, WithoutAnErrorTheModelIsParsed) {
  script_->parses = true;
  EXPECT_TRUE(ask(four()).supported);
  script_->parses = false;
  Support const support = ask(four());
  EXPECT_FALSE(support.supported);
  EXPECT_TRUE(support.unsupported.empty());
  EXPECT_EQ(script_->asked, 2);
  EXPECT_EQ(script_->parsed, 2);
}

// The parsers of 8 and 10 write past the end of their lists when there is nothing to list.
TEST_P(SupportGenerationsTest, AGraphWithoutNodesIsOnlyParsed) {
  script_->parses = true;
  Support const support = ask({});
  EXPECT_TRUE(support.supported);
  EXPECT_EQ(support.nodes, 0U);
  EXPECT_EQ(script_->asked, 0);
}

TEST_P(SupportGenerationsTest, NumbersOutOfRangeAreNoNodes) {
  auto const graph = four();
  script_->graphs = {{0, 1, 2, 3, 99}};
  script_->errors = {{77, "of some other graph", "", "", "a.cpp"}};
  Support const support = ask(graph);
  EXPECT_TRUE(support.unsupported.empty());
  EXPECT_EQ(support.reason, "of some other graph");
}

TEST_P(SupportGenerationsTest, PluginsAreLoadedBeforeTheParserIsAsked) {
  auto graph = four();
  graph.nodes[1].op_type = "Repeat";
  graph.nodes[1].domain = "my.plugins";
  script_->graphs = {{0}, {2}};  // 8.5 and 8.6.0 list no plugins
  if (GetParam().has_v2) script_->graphs = {{0, 1, 2}};
  fail(3, "no", graph);
  if (library_->kind() == LibraryKind::kRtx) {
    EXPECT_TRUE(test::throws(ErrorKind::kPlugin, {"TensorRT-RTX takes no plugins"},
                             [&] { (void)ask(graph, {TF2TRT_USER_PLUGINS}); }));
    return;
  }
  EXPECT_EQ(indexes(ask(graph, {TF2TRT_USER_PLUGINS})), Indexes{3});
  EXPECT_TRUE(test::throws(ErrorKind::kPlugin, {"/no/such.so"}, [&] { (void)ask(graph, {"/no/such.so"}); }));
}

TEST_P(SupportGenerationsTest, FunctionsOfPluginsStayOutOfSightFrom10On) {
  test::FunctionText const function = {"LeakyReLU", "tf2trt", {"X"}, {"Y"}, {{"LeakyRelu", "", {"X"}, {"Y"}, "", {}}}};
  auto const graph = test::small_graph("n", "LeakyReLU", "tf2trt");
  script_->supported = true;
  test::Environment const own("TF2TRT_PLUGINS_LIBRARY", TF2TRT_USER_PLUGINS);
  EXPECT_TRUE(ask(graph, {}, {function}).supported);
  EXPECT_EQ(script_->bytes.find("LeakyRelu") == std::string::npos, GetParam().number >= 10000);
}

std::string name_of_test(testing::TestParamInfo<Generation> const& info) {
  return "number" + std::to_string(info.param.number);
}
INSTANTIATE_TEST_SUITE_P(All, SupportGenerationsTest, testing::Values(k850, k860, k861, k100, k101, k111, kRtx),
                         name_of_test);

// Before 10.1 parsing stops at the first error, and of the rest only the operators' names can be asked for.
class OldSupportTest : public SupportGenerationsTest {};

TEST_P(OldSupportTest, UnknownOperatorsBehindTheFirstErrorAreNamed) {
  auto graph = four();
  graph.nodes[2].op_type = "Unique";
  fail(1, "no", graph);
  for (Lists const& graphs :  // 8.6.0 leaves out what it does not know, 8.6.1 does not
       {Lists{{0}, {3}}, Lists{{0}, {2, 3}}}) {
    script_->graphs = graphs;
    Support const support = ask(graph);
    ASSERT_EQ(indexes(support), (Indexes{1, 2}));
    EXPECT_EQ(support.unsupported[1].reason, "the parser knows no operator of this name, and there is no plugin");
  }
}

TEST_P(OldSupportTest, AnExceptionIsAReason) {
  script_->throws = true;
  Support const support = ask(four());
  EXPECT_FALSE(support.supported);
  EXPECT_EQ(support.reason, "it threw");
  EXPECT_TRUE(support.unsupported.empty());
}

INSTANTIATE_TEST_SUITE_P(Before101, OldSupportTest, testing::Values(k850, k860, k861, k100), name_of_test);

// From 10.0 on an error may be of a node in a body; 10.0 and 10.1 then give that node's number there.
class BodySupportTest : public SupportGenerationsTest {};

TEST_P(BodySupportTest, TheNodeThatHoldsTheBodyIsTold) {
  auto graph = four();
  graph.nodes[1].op_type = "Loop";
  graph.nodes[1].metadata = {{"tf2trt.layer", "lstm"}};
  script_->operators.insert("Loop");
  for (int const number : {1, 3}) {
    script_->graphs = number == 1 ? Lists{{0}, {2, 3}} : Lists{{0, 1, 2}};
    script_->errors = {{number, "no", "inner", "Unique"}};
    Support const support = ask(graph);
    ASSERT_EQ(indexes(support), Indexes{1}) << number;
    EXPECT_EQ(support.unsupported[0].name, "inner");
    EXPECT_EQ(support.unsupported[0].op_type, "Unique");
    EXPECT_EQ(support.unsupported[0].origin, "layer lstm");
    EXPECT_EQ(support.unsupported[0].reason, "inside Loop \"dense/act\": no");
  }
}

INSTANTIATE_TEST_SUITE_P(From10, BodySupportTest, testing::Values(k100, k101, k111, kRtx), name_of_test);

}  // namespace
}  // namespace tf2trt
