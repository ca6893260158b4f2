// A calibrator written in Python: an object with method, batch_size, cache, quantile and next(), and where it likes
// save() (_native.pyi).
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "tf2trt/calibration.hpp"

namespace tf2trt::bindings {

namespace py = pybind11;

// Made and destroyed with the GIL held; it has to outlive the build.
class PythonCalibrator {
 public:
  explicit PythonCalibrator(py::object calibrator) : calibrator_(std::move(calibrator)) {}

  // Reads the attributes; `next` and `keep` call the object's, and take the GIL for that. Throws Error(kUsage) for a
  // method that does not exist.
  Calibration calibration();

 private:
  std::vector<HostArray> next();

  py::object calibrator_;
  py::list arrays_;  // of the last batch
};

}  // namespace tf2trt::bindings
