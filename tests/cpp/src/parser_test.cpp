// What a network says once NVIDIA's parser has read it.
#include "parser.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "abi/call.hpp"
#include "support/errors.hpp"
#include "support/rtx.hpp"

namespace tf2trt {
namespace {

using test::throws;

class ParserTest : public test::RtxTest {
 protected:
  void SetUp() override {
    RtxTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    builder_ = library().state().make_builder();
    std::uint32_t const flags = 0;
    network_ =
        abi::Owned(abi::call<abi::Method::VBuilder_createNetworkV2>(library().state().api, builder_.get(), flags));
  }
  void TearDown() override {
    parser_.reset();
    network_.reset();
    builder_.reset();
    RtxTest::TearDown();
  }
  void parse(test::GraphText const& graph) {
    std::string const path = write(test::onnx_model(graph));
    parser_ = detail::parse_onnx(library().state(), network_.get(), path, scan_onnx(path));
  }
  [[nodiscard]] std::vector<TensorInfo> inputs() const {
    return detail::network_inputs(library().state().api, network_.get());
  }

 private:
  abi::Owned builder_;
  abi::Owned network_;
  abi::Owned parser_;
};

// A bool's byte as it is: what a call through a wrong slot brought need be neither 0 nor 1.
int byte_of(bool const& flag) {
  unsigned char byte = 0;
  std::memcpy(&byte, &flag, 1);
  return byte;
}

// TensorRT-RTX has a table of its own for ITensor: isShapeTensor is slot 11, and 11's slot 15 is no API method there.
TEST_F(ParserTest, DataIsNoShapeTensor) {
  parse(test::small_graph());
  ASSERT_EQ(inputs().size(), 1U);
  EXPECT_EQ(byte_of(inputs()[0].is_shape), 0);
}

TEST_F(ParserTest, AnInputThatIsAShapeIsAShapeTensor) {
  constexpr int kInt64 = 7;
  test::GraphText graph;
  graph.nodes = {{"Reshape", "reshape", {"x", "shape"}, {"y"}, "", {}}};
  graph.inputs = {test::onnx_value("x", {"2", "6"}), test::onnx_value("shape", {"2"}, kInt64)};
  graph.outputs = {test::onnx_value("y", {"a", "b"})};
  parse(graph);
  ASSERT_EQ(inputs().size(), 2U);
  EXPECT_EQ(byte_of(inputs()[0].is_shape), 0);
  EXPECT_EQ(byte_of(inputs()[1].is_shape), 1);
  EXPECT_EQ(inputs()[1].dtype, DType::kInt64);
}

TEST_F(ParserTest, EveryUnknownOperatorIsNamed) {
  test::GraphText graph = test::small_graph("2");
  graph.nodes[0].op_type = "NoSuchOp";
  graph.nodes[1].op_type = "NorThisOne";
  EXPECT_TRUE(throws(ErrorKind::kOnnx,
                     {"node \"dense/MatMul\" (operator NoSuchOp)", "node \"dense/act\" (operator NorThisOne)"},
                     [&] { parse(graph); }));
}

TEST_F(ParserTest, ANodeWithoutANameHasItsNumber) {
  test::GraphText graph = test::small_graph("2", "NoSuchOp");
  graph.nodes[1].name = "";
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {"node \"#1\" (operator NoSuchOp)"}, [&] { parse(graph); }));
}

}  // namespace
}  // namespace tf2trt
