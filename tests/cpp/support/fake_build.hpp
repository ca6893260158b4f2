// What a fake TensorRT that builds (fake_builder.cpp) finds in every model, how it behaves, and what it saw. The tests
// have it from the library's fake_build().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tf2trt::test {

// Types and kinds are the names of NVIDIA's enumerators.
struct FakeTensor {
  std::string name;
  std::string type = "kFLOAT";
  std::vector<std::int64_t> shape = {4};
  bool is_shape = false;
};

struct FakeLayer {
  std::string name;
  std::string kind = "kCONVOLUTION";
  std::vector<FakeTensor> outputs = {{"y"}};
};

struct FakeBuild {
  std::vector<FakeTensor> inputs = {{"x", "kFLOAT", {-1, 2}}};
  std::vector<FakeLayer> layers = {{"conv"}};
  bool takes_cache = true;             // where it is given one
  int batches_wanted = 1000;           // it calibrates with that many at most
  int passes = 1;                      // how often it reads the data
  std::string written = "scales";      // what it gives the calibrator to keep
  bool takes_profile = true;           // the answer of setCalibrationProfile
  std::string plan = "a plan";         // what it gives
  bool builds = true;                  // otherwise it gives none
  std::function<void()> before_build;  // called, where there is one, by the thread that builds
  // How much of each input's batch it reads.
  std::map<std::string, std::size_t> bytes = {{"x", 16}};

  // In order: "setFlag kINT8", "setPrecision conv kHALF", "setOutputType conv 0 kHALF", "getBatch", ...
  std::vector<std::string> calls;
  // Of the calibrator.
  std::string kind;  // of its interface; "" in 8
  int algorithm = -1;
  int batch_size = 0;
  double quantile = 0;
  double cutoff = 0;
  std::string cache;                                     // as it was read
  std::map<std::string, std::vector<std::string>> data;  // the bytes on the device, batch by batch
};

}  // namespace tf2trt::test
