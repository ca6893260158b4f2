// Messages of TensorRT-RTX 1.7.1 and TensorRT 8.6, as they came.
#include "parser_words.hpp"

#include <gtest/gtest.h>

namespace tf2trt::detail {
namespace {

TEST(PlainWords, WhatIsPlainStays) {
  EXPECT_EQ(plain_words("Unsupported ONNX data type: STRING (8)"), "Unsupported ONNX data type: STRING (8)");
  EXPECT_EQ(plain_words("plugin L2Normalize: axes: received 3 for a tensor of rank 2"),
            "plugin L2Normalize: axes: received 3 for a tensor of rank 2");
  EXPECT_EQ(plain_words("See m.cpp for more"), "See m.cpp for more");
}

TEST(PlainWords, AFalseConditionSaysNothing) {
  EXPECT_EQ(plain_words("false"), "");
  EXPECT_EQ(plain_words("Assertion failed: false"), "");
  EXPECT_EQ(plain_words(""), "");
}

TEST(PlainWords, OfAnAssertionTheMessageStays) {
  EXPECT_EQ(plain_words("(antialias == 0) && \"Antialiasing is not supported currently.\""),
            "Antialiasing is not supported currently.");
  EXPECT_EQ(plain_words("Assertion failed: convertDtype(onnxDtype.elem_type(), &trtDtype) && \"Failed to convert ONNX "
                        "date type to TensorRT data type.\""),
            "Failed to convert ONNX date type to TensorRT data type.");
  EXPECT_EQ(plain_words("Assertion failed: (ctx->tensors().count(inputName)): Node input was not registered."),
            "Node input was not registered.");
  EXPECT_EQ(plain_words("Assertion failed: (a == nvinfer1::DataType::kINT32 && \"a: b\"): It: is so."), "It: is so.");
  EXPECT_EQ(plain_words("Assertion failed: mode == \"linear\""), "mode == \"linear\"");
  EXPECT_EQ(plain_words("Failed to import initializer: In node -1 with name:  and operator:  (importInitializers): "
                        "UNSUPPORTED_NODE: Assertion failed: ctx->getWeightsContext().convertOnnxWeights(initializer, "
                        "&weights): Failed to import initializer: w"),
            "Failed to import initializer: w");
}

TEST(PlainWords, FilesAndTheMissingDriverGo) {
  EXPECT_EQ(plain_words("Invalid Node - resh\nITensor::getDimensions: Error Code 4: Shape Error (reshape changes "
                        "volume. Reshaping [2,3] to [5,7]. In operator() at "
                        "/_src/optimizer/common/shape/shapeContext.cpp:4633)\n[checkMacros.cpp::catchCudaError::250] "
                        "Error Code 1: Cuda Runtime (In catchCudaError at /_src/common/dispatch/checkMacros.cpp:250 "
                        "(cudaError 35: CUDA driver version is insufficient for CUDA runtime version))"),
            "ITensor::getDimensions: Error Code 4: Shape Error (reshape changes volume. Reshaping [2,3] to [5,7].)");
  EXPECT_EQ(plain_words("WeightsContext.cpp:203: Failed to open file: w.data"), "Failed to open file: w.data");
  EXPECT_EQ(plain_words("[graph.cpp::add::12] Error Code 4: Internal Error (x: not allowed)\n"),
            "Error Code 4: Internal Error (x: not allowed)");
  EXPECT_EQ(plain_words("Error Code 2 (In f at /a/b.cpp:250 (no memory))"), "Error Code 2 (no memory)");
}

TEST(PlainWords, AnErrorThatSaysLittleStaysWhereItIsAlone) {
  EXPECT_EQ(plain_words("Invalid Node - resh"), "Invalid Node - resh");
  EXPECT_EQ(plain_words("Invalid Node - resh\n\nno such axis"), "no such axis");
  EXPECT_EQ(plain_words("one\ntwo"), "one; two");
}

}  // namespace
}  // namespace tf2trt::detail
