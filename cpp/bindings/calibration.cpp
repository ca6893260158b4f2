#include "calibration.hpp"

#include <pybind11/numpy.h>

#include <string_view>

#include "bindings.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt::bindings {
namespace {

CalibrationMethod method_of(std::string const& name) {
  if (name == "entropy") return CalibrationMethod::kEntropy;
  if (name == "minmax") return CalibrationMethod::kMinMax;
  if (name == "percentile") return CalibrationMethod::kPercentile;
  throw Error(ErrorKind::kUsage, "calibration: method", {name, "entropy, minmax or percentile", ""});
}

DType dtype_of(py::array const& array) {
  if (!array.dtype().attr("isnative").cast<bool>()) return DType::kOther;
  auto const name = py::str(array.dtype().attr("name")).cast<std::string>();
  for (DType const dtype : {DType::kFloat32, DType::kFloat16, DType::kInt8, DType::kInt32, DType::kBool, DType::kUint8,
                            DType::kBfloat16, DType::kInt64}) {
    if (name == name_of(dtype)) return dtype;
  }
  return DType::kOther;
}

}  // namespace

Calibration PythonCalibrator::calibration() {
  Calibration result;
  result.method = method_of(calibrator_.attr("method").cast<std::string>());
  result.batch_size = calibrator_.attr("batch_size").cast<int>();
  if (result.method == CalibrationMethod::kPercentile) result.quantile = calibrator_.attr("quantile").cast<double>();
  auto const cache = calibrator_.attr("cache").cast<py::bytes>();
  auto const bytes = static_cast<std::string_view>(cache);
  result.cache.assign(bytes.begin(), bytes.end());
  result.next = [this] { return next(); };
  if (py::hasattr(calibrator_, "save")) {
    result.keep = [this](std::vector<char> const& made) {
      py::gil_scoped_acquire const gil;
      calibrator_.attr("save")(py::bytes(made.data(), made.size()));
    };
  }
  return result;
}

std::vector<HostArray> PythonCalibrator::next() {
  py::gil_scoped_acquire const gil;
  arrays_ = py::list();
  py::object const batch = calibrator_.attr("next")();
  std::vector<HostArray> arrays;
  if (batch.is_none()) return arrays;
  for (auto const& [name, value] : py::dict(batch)) {
    auto const array = py::array::ensure(value, py::array::c_style);
    if (!array) throw py::error_already_set();
    HostArray host{name.cast<std::string>(), dtype_of(array), {}, array.data()};
    host.shape.assign(array.shape(), array.shape() + array.ndim());
    arrays_.append(array);
    arrays.push_back(std::move(host));
  }
  if (arrays.empty()) {
    throw Error(ErrorKind::kInput, "calibration: an empty batch",
                {"{}", "an array for each input; None at the end", ""});
  }
  return arrays;
}

}  // namespace tf2trt::bindings
