// Data for TensorRT's own INT8 calibrators (TensorRT 8 and 10). A network with Q/DQ nodes has its scales already.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tf2trt/tensor.hpp"

namespace tf2trt {

// One input of a batch, in host memory, row-major without gaps.
struct HostArray {
  std::string name;  // the network's input
  DType dtype = DType::kOther;
  Shape shape;
  void const* data = nullptr;
};

enum class CalibrationMethod {
  kEntropy,     // IInt8EntropyCalibrator2
  kMinMax,      // IInt8MinMaxCalibrator
  kPercentile,  // IInt8LegacyCalibrator, by quantile alone
};

struct Calibration {
  CalibrationMethod method = CalibrationMethod::kEntropy;
  // What getBatchSize tells. How much of a batch TensorRT reads is the inputs' shapes' matter.
  int batch_size = 1;
  double quantile = 0.9999;  // of kPercentile: over 0, at most 1
  // What an earlier calibration left (BuildResult::calibration_cache, or a file of trtexec's); may be empty. Where
  // TensorRT takes it, it asks for no batch.
  std::vector<char> cache;
  // The next batch: every input of the network once, or nothing at the end. Asked again after the end, it may begin
  // anew: a calibrator that reads the data twice gets them so. The data have to stay until the next call,
  // or until build is over. All batches have the same shapes. It is called by the thread that builds, and once before
  // the build where there is no cache, so that wrong data fail at once. INT64 is taken where the network has INT32, as
  // TensorRT 8 has it for ONNX's INT64. What it throws stops the build and comes out of it: at once on 10, which can be
  // stopped; 8 gives up calibrating, but finishes its build first.
  std::function<std::vector<HostArray>()> next;
  // Takes the cache as soon as TensorRT has made it, long before the build is over: kernels are timed after that. May
  // be empty. What it throws stops the build as above.
  std::function<void(std::vector<char> const& cache)> keep;
};

}  // namespace tf2trt
