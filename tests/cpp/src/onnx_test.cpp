#include "tf2trt/onnx.hpp"

#include <gtest/gtest.h>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/onnx_writer.hpp"

namespace tf2trt {
namespace {

using test::throws;

class OnnxTest : public testing::Test {
 protected:
  std::string write(std::string const& bytes) { return test::write_file(folder_ / "m.onnx", bytes); }
  test::TempFolder folder_;
};

TEST_F(OnnxTest, NodesAreReadInOrder) {
  auto const nodes = scan_onnx(write(test::onnx_model(test::small_graph("n", "MyAct", "my.domain"))));
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[0].name, "dense/MatMul");
  EXPECT_EQ(nodes[0].op_type, "MatMul");
  EXPECT_EQ(nodes[0].domain, "");
  EXPECT_EQ(nodes[1].name, "dense/act");
  EXPECT_EQ(nodes[1].op_type, "MyAct");
  EXPECT_EQ(nodes[1].domain, "my.domain");
}

TEST_F(OnnxTest, NodesMayHaveNoName) {
  auto const nodes = scan_onnx(write(test::onnx_model({{{"Relu", "", {"x"}, {"y"}, "", {}}}, {}, {}, {}})));
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].name, "");
  EXPECT_EQ(nodes[0].op_type, "Relu");
}

TEST_F(OnnxTest, LongNamesAndManyNodes) {
  test::GraphText graph;
  std::string const name(300, 'n');
  for (int i = 0; i < 1000; ++i) graph.nodes.push_back({"Relu", name + std::to_string(i), {"x"}, {"y"}, "", {}});
  auto const nodes = scan_onnx(write(test::onnx_model(graph)));
  ASSERT_EQ(nodes.size(), 1000U);
  EXPECT_EQ(nodes[999].name, name + "999");
}

TEST_F(OnnxTest, AnEmptyGraphHasNoNodes) { EXPECT_TRUE(scan_onnx(write(test::onnx_model({}))).empty()); }

TEST_F(OnnxTest, FieldsOfEveryWireTypeArePassedOver) {
  using test::Proto;
  std::string const fixed64 = std::string("\x91\x03", 2) + "12345678";  // field 50, wire type 1
  std::string const bytes = Proto().integer(1, 8).real(51, 1.5F).integer(52, 1ULL << 63U).bytes() + fixed64 +
                            Proto().message(7, Proto().message(1, Proto().text(4, "Relu"))).bytes();
  auto const nodes = scan_onnx(write(bytes));
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].op_type, "Relu");
}

TEST_F(OnnxTest, OriginsAreReadFromTheMetadata) {
  using Metadata = std::vector<std::pair<std::string, std::string>>;
  std::vector<std::pair<Metadata, std::string>> const cases = {
      {{}, ""},
      {{{"tf2trt.layer", "conv1"}}, "layer conv1"},
      {{{"tf2trt.op", "Conv2D"}}, "op Conv2D"},
      {{{"namespace", "a/b"}, {"tf2trt.op", "Conv2D"}, {"tf2trt.layer", "conv1"}}, "layer conv1 (op Conv2D)"},
      {{{"tf2trt.layers", "conv1"}, {"layer", "conv1"}, {"", "conv1"}}, ""},
      {{{"tf2trt.layer", ""}, {"tf2trt.op", ""}}, ""}};
  test::GraphText graph;
  for (auto const& [metadata, origin] : cases) graph.nodes.push_back({"Relu", "r", {"x"}, {"y"}, "", {}, metadata});
  auto const nodes = scan_onnx(write(test::onnx_model(graph)));
  ASSERT_EQ(nodes.size(), cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(nodes[i].origin, cases[i].second) << i;
}

TEST_F(OnnxTest, TheFileIsReadAsItIs) {
  std::string const bytes = test::onnx_model(test::small_graph()) + std::string(1, '\0');
  EXPECT_EQ(read_onnx(write(bytes)), bytes);
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {"no such file"}, [] { (void)read_onnx("/no/such/m.onnx"); }));
}

// The graph is the last field, so no shorter file is a whole model.
TEST_F(OnnxTest, TruncatedAtEveryLength) {
  std::string const bytes = test::onnx_model(test::small_graph());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::string const path = write(bytes.substr(0, size));
    EXPECT_TRUE(throws(ErrorKind::kOnnx, {path, std::to_string(size) + " bytes"}, [&] { scan_onnx(path); })) << size;
  }
  EXPECT_EQ(scan_onnx(write(bytes)).size(), 2U);
}

// One byte at a time is turned into others: what comes is an answer or Error(kOnnx).
TEST_F(OnnxTest, DamagedAtEveryByte) {
  std::string const whole = test::onnx_model(test::small_graph());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (char const damage : {'\x00', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[i] = damage;
      std::string const path = write(bytes);
      try {
        EXPECT_LE(scan_onnx(path).size(), bytes.size());
      } catch (Error const& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kOnnx);
      }
    }
  }
}

TEST_F(OnnxTest, OtherFilesAreRefused) {
  for (std::string const& bytes :
       {std::string(), std::string("this is text and no model\n"), std::string(1000, '\0'), std::string(1000, '\xff'),
        std::string("\x89PNG\r\n\x1a\n"), test::Proto().integer(1, 8).bytes(),
        test::Proto().message(7, test::Proto()).bytes()}) {
    std::string const path = write(bytes);
    EXPECT_TRUE(throws(ErrorKind::kOnnx, {path}, [&] { scan_onnx(path); })) << bytes.substr(0, 10);
  }
}

TEST_F(OnnxTest, MissingFile) {
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {"/no/such/m.onnx", "no such file"}, [] { scan_onnx("/no/such/m.onnx"); }));
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {folder_.path()}, [&] { scan_onnx(folder_.path()); }));
}

class OnnxFunctionsTest : public OnnxTest {
 protected:
  static std::string model(std::vector<test::FunctionText> const& functions) {
    return test::onnx_model(test::small_graph("n", "LeakyReLU", "tf2trt"), functions);
  }
  static test::FunctionText function(std::string const& name, std::string const& domain) {
    return {name, domain, {"X"}, {"Y"}, {{"LeakyRelu", "", {"X"}, {"Y"}, "", {}}}};
  }
  std::string without(std::string const& bytes, std::string const& domain = "tf2trt") {
    return onnx_without_functions(write(bytes), domain);
  }
};

// "Byte for byte": the result is the file that has never had them. The opsets are those of the graph's nodes.
TEST_F(OnnxFunctionsTest, ThoseOfTheDomainAreGoneAndAllElseStays) {
  auto const other = function("Swish", "my.domain");
  auto const near = function("Swish", "tf2trt.x");
  std::string const whole = model({function("LeakyReLU", "tf2trt"), other, function("L2Normalize", "tf2trt"), near});
  EXPECT_EQ(without(whole), model({other, near}));
  EXPECT_EQ(without(whole, "my.domain"),
            model({function("LeakyReLU", "tf2trt"), function("L2Normalize", "tf2trt"), near}));
  EXPECT_EQ(scan_onnx(write(without(whole))).size(), 2U);
}

TEST_F(OnnxFunctionsTest, WhereverTheyStand) {
  using test::Proto;
  Proto const gone = test::onnx_function(function("LeakyReLU", "tf2trt"));
  Proto const graph = Proto().message(1, Proto().text(4, "Relu"));
  std::string const tail = Proto().real(51, 1.5F).integer(52, 1ULL << 63U).bytes() + "\x91\x03" + "12345678";
  std::string const bytes = Proto().message(25, gone).integer(1, 8).message(25, gone).message(7, graph).bytes() + tail;
  EXPECT_EQ(without(bytes), Proto().integer(1, 8).message(7, graph).bytes() + tail);
}

TEST_F(OnnxFunctionsTest, NothingWhereThereIsNoneOfTheDomain) {
  EXPECT_EQ(without(model({})), "");
  EXPECT_EQ(without(model({function("Swish", "my.domain"), function("Swish", "")})), "");
}

TEST_F(OnnxFunctionsTest, AFunctionWithoutADomainIsOfOnnxsOwn) {
  auto const other = function("Swish", "my.domain");
  EXPECT_EQ(without(model({function("Swish", ""), other}), ""), model({other}));
}

TEST_F(OnnxFunctionsTest, TruncatedInAFunctionAtEveryLength) {
  std::string const bytes = model({function("LeakyReLU", "tf2trt")});
  std::string const head = bytes.substr(
      0, bytes.size() - test::Proto().message(25, test::onnx_function(function("LeakyReLU", "tf2trt"))).bytes().size());
  EXPECT_EQ(without(head), "");
  for (std::size_t size = head.size() + 1; size < bytes.size(); ++size) {
    EXPECT_TRUE(throws(ErrorKind::kOnnx, {"truncated", std::to_string(size) + " bytes"}, [&] {
      (void)without(bytes.substr(0, size));
    })) << size;
  }
}

// One byte at a time is turned into others: what comes is an answer or Error(kOnnx).
TEST_F(OnnxFunctionsTest, DamagedAtEveryByte) {
  std::string const whole = model({function("LeakyReLU", "tf2trt")});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (char const damage : {'\x00', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[i] = damage;
      try {
        EXPECT_LT(without(bytes).size(), bytes.size());
      } catch (Error const& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kOnnx);
      }
    }
  }
}

TEST_F(OnnxFunctionsTest, MissingFile) {
  EXPECT_TRUE(
      throws(ErrorKind::kOnnx, {"no such file"}, [] { (void)onnx_without_functions("/no/such/m.onnx", "tf2trt"); }));
}

}  // namespace
}  // namespace tf2trt
