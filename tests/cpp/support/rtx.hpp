// The fixture of the tests that build with the real TensorRT-RTX: no GPU is needed for that.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "abi/object.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/onnx_writer.hpp"
#include "tf2trt/builder.hpp"
#include "tf2trt/library.hpp"

namespace tf2trt::test {

class RtxTest : public testing::Test {
 protected:
  void SetUp() override {
    TF2TRT_REAL_PATH(folder, "TF2TRT_TEST_SITE", "onnxruntime_ep_nv_tensorrt_rtx");
    Environment const unset("TF2TRT_NVINFER", nullptr);
    library_ = std::make_unique<Library>(Library::find({folder}, true));
  }
  // Whatever was built or went wrong, nothing of TensorRT's is left.
  void TearDown() override { EXPECT_EQ(abi::live_objects(), 0); }

  [[nodiscard]] Library const& library() const { return *library_; }
  std::string write(std::string const& bytes) { return write_file(files_ / "m.onnx", bytes); }
  // The small model, its batch of any size.
  std::string small() { return write(onnx_model(small_graph())); }
  static BuilderOptions with_shapes(Shape const& min, Shape const& opt, Shape const& max) {
    BuilderOptions options;
    options.profiles = {{{"x", {min, opt, max}}}};
    return options;
  }
  static BuilderOptions usual() { return with_shapes({1, 4}, {4, 4}, {16, 4}); }

  TempFolder files_;

 private:
  std::unique_ptr<Library> library_;
};

}  // namespace tf2trt::test
