// The fixture of the tests that run engines without a GPU, on the fake driver and the fake TensorRT.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "abi/object.hpp"
#include "support/fake_cuda.hpp"
#include "support/fake_plan.hpp"
#include "tf2trt/engine.hpp"
#include "tf2trt/library.hpp"

namespace tf2trt::test {

class FakeGpuTest : public testing::Test {
 protected:
  void SetUp() override { fake_cuda_reset(); }
  // Nothing was misused that the test does not know of, and all is given back.
  void TearDown() override {
    EXPECT_EQ(fake_cuda_count("violations"), 0) << fake_cuda_last_violation();
    EXPECT_EQ(abi::live_objects(), 0);
    for (char const* what : {"device_bytes", "pinned_bytes", "streams", "events", "graphs", "graph_execs"}) {
      EXPECT_EQ(fake_cuda_count(what), 0) << what;
    }
  }

  // The text of the violation that is expected; "" where there was none. It counts no more.
  static std::string violation() {
    std::string text = fake_cuda_last_violation();
    fake_cuda_reset();
    return text;
  }

  // number: 8600, 101601 or 110400.
  static Library library(int number = 8600) {
    int const major = number < 10000 ? number / 1000 : number / 10000;
    return Library::open(TF2TRT_FAKE_RUNTIME "/libnvinfer.so." + std::to_string(major));
  }
  static Engine engine(std::string const& text, int number = 8600) {
    Library const from = library(number);
    auto const version = from.version();
    std::string const plan = fake_plan(text, version[0], version[1], version[2]);
    return Engine::deserialize(from, plan.data(), plan.size());
  }
};

}  // namespace tf2trt::test
