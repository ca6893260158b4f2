#include "calibrator.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "abi/call.hpp"
#include "builder_profiles.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt::detail {

using abi::call;
using abi::Method;
using abi::Value;

namespace {

std::string describe(DType dtype, Shape const& shape) { return std::string(name_of(dtype)) + " " + to_string(shape); }

std::string names_of(std::vector<TensorInfo> const& inputs) {
  std::string names;
  for (auto const& input : inputs) names += (names.empty() ? "" : ", ") + input.name;
  return names;
}

bool fits(Shape const& shape, Shape const& wanted) {
  return std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end(),
                    [](auto extent, auto of) { return extent > 0 && (of < 0 || extent == of); });
}

// TensorRT 8 has INT32 where ONNX has INT64.
bool is_narrowed(HostArray const& array, TensorInfo const& input) {
  return array.dtype == DType::kInt64 && input.dtype == DType::kInt32;
}

void narrow(std::int32_t* to, HostArray const& array, std::size_t count) {
  auto const* from = static_cast<std::int64_t const*>(array.data);
  using Limits = std::numeric_limits<std::int32_t>;
  for (std::size_t i = 0; i < count; ++i) {
    if (from[i] < Limits::min() || from[i] > Limits::max()) {
      throw Error(ErrorKind::kInput,
                  "calibration: input \"" + array.name + "\" has a value that this TensorRT cannot take",
                  {std::to_string(from[i]), "values of 32 bits", ""});
    }
    to[i] = static_cast<std::int32_t>(from[i]);
  }
}

}  // namespace

Calibrator::Calibrator(abi::Api const& api, Calibration const& calibration, std::vector<TensorInfo> const& inputs,
                       ProgressReport& progress)
    : api_(&api), calibration_(&calibration), inputs_(&inputs), progress_(&progress) {
  for (auto const& input : inputs) {
    if (!input.is_shape) continue;
    throw Error(ErrorKind::kUsage, "calibration: input \"" + input.name + "\" is a shape tensor",
                {"", "inputs with data", "tf2trt calibrate, which writes Q/DQ nodes, takes such a network"});
  }
  make_interface();
}

void Calibrator::make_interface() {
  auto const make = [this](Value named, char const* kind) {
    auto const algorithm = api_->value(named);
    bool const legacy = calibration_->method == CalibrationMethod::kPercentile;
    if (api_->generation() == 8) {
      calibrator8_ = legacy ? std::make_unique<abi::LegacyCalibrator<abi::Calibrator8>>(*this, algorithm)
                            : std::make_unique<abi::Calibrator8>(*this, algorithm);
      interface_ = calibrator8_.get();
    } else {
      calibrator10_ = legacy ? std::make_unique<abi::LegacyCalibrator<abi::Calibrator10>>(*this, algorithm, kind)
                             : std::make_unique<abi::Calibrator10>(*this, algorithm, kind);
      interface_ = calibrator10_.get();
    }
  };
  switch (calibration_->method) {
    case CalibrationMethod::kEntropy:
      return make(Value::CalibrationAlgoType_kENTROPY_CALIBRATION_2, abi::kEntropyCalibratorKind);
    case CalibrationMethod::kMinMax:
      return make(Value::CalibrationAlgoType_kMINMAX_CALIBRATION, abi::kMinMaxCalibratorKind);
    case CalibrationMethod::kPercentile:
      return make(Value::CalibrationAlgoType_kLEGACY_CALIBRATION, abi::kLegacyCalibratorKind);
  }
}

void Calibrator::attach(void* builder, void* config, std::vector<Profile> const& profiles) {
  for (auto const& input : *inputs_) shapes_[input.name] = input.shape;
  if (!calibration_->cache.empty()) {
    if (!profiles.empty()) {
      for (auto const& [name, range] : profiles[0]) shapes_[name] = range.opt;
    }
  } else {
    first_ = next();
    if (first_.empty()) {
      throw Error(ErrorKind::kInput, "calibration: there are no data",
                  {"an end before the first batch", "at least one batch, better some hundred samples", ""});
    }
    for (auto const& array : first_) shapes_[array.name] = array.shape;
  }
  if (std::any_of(inputs_->begin(), inputs_->end(), is_dynamic)) {
    set_calibration_profile(*api_, builder, config, *inputs_, shapes_);
  }
  call<Method::VBuilderConfig_setInt8Calibrator>(*api_, config, interface_);
}

void Calibrator::rethrow() const {
  if (thrown_) std::rethrow_exception(thrown_);
}

Calibrator::Batch Calibrator::next() {
  Batch batch = calibration_->next ? calibration_->next() : Batch{};
  if (!batch.empty()) check(batch);
  return batch;
}

void Calibrator::check(Batch const& batch) const {
  std::string const where = "calibration, batch " + std::to_string(batches_ + 1) + ": ";
  for (auto const& input : *inputs_) {
    auto const of_input = [&](HostArray const& array) { return array.name == input.name; };
    auto const array = std::find_if(batch.begin(), batch.end(), of_input);
    if (array == batch.end()) {
      throw Error(ErrorKind::kInput, where + "input \"" + input.name + "\" is missing", {"", names_of(*inputs_), ""});
    }
    Shape const& wanted = shapes_.at(input.name);
    bool const same_type = array->dtype == input.dtype || is_narrowed(*array, input);
    if (same_type && fits(array->shape, wanted)) continue;
    throw Error(ErrorKind::kInput, where + "input \"" + input.name + "\" is of another type or shape",
                {describe(array->dtype, array->shape), describe(input.dtype, wanted),
                 same_type && batches_ > 0 ? "all batches have one shape: fill up the last one, or leave it out" : ""});
  }
  for (auto const& array : batch) {
    auto const is_it = [&](TensorInfo const& input) { return input.name == array.name; };
    if (std::count_if(inputs_->begin(), inputs_->end(), is_it) == 1) continue;
    throw Error(ErrorKind::kInput, where + "the network has no input of this name",
                {array.name, names_of(*inputs_), ""});
  }
  if (batch.size() != inputs_->size()) throw Error(ErrorKind::kInput, where + "an input is there twice");
}

void Calibrator::upload(Batch const& batch) {
  if (!stream_) stream_.emplace();
  for (auto const& array : batch) {
    auto const input =
        std::find_if(inputs_->begin(), inputs_->end(), [&](TensorInfo const& each) { return each.name == array.name; });
    std::size_t const count = element_count(array.shape);
    std::size_t const bytes = bytes_of(input->dtype, count);
    auto const& memory = memory_.try_emplace(array.name, bytes).first->second;
    if (is_narrowed(array, *input)) {
      narrow(static_cast<std::int32_t*>(memory.host.data()), array, count);
    } else {
      std::memcpy(memory.host.data(), array.data, bytes);
    }
    copy_to_device(memory.device, memory.host, bytes, stream_->handle());
    stream_->synchronize();  // TensorRT reads on a stream of its own
  }
}

bool Calibrator::on_batch(void** bindings, char const* const* names, std::int32_t count) noexcept {
  if (thrown_) return false;
  try {
    Batch batch = first_.empty() ? next() : std::exchange(first_, {});
    if (batch.empty()) {
      if (batches_ > 0) return false;
      throw Error(ErrorKind::kInput, "calibration: TensorRT does not take the cache, and there are no data",
                  {std::to_string(calibration_->cache.size()) + " bytes of cache",
                   "a cache that this version of TensorRT wrote by the same method for the same network, or data", ""});
    }
    upload(batch);
    for (std::int32_t i = 0; i < count; ++i) {
      auto const found = memory_.find(names[i]);
      if (found == memory_.end()) {
        throw Error(ErrorKind::kInput, "calibration: TensorRT asks for an input that the network does not have",
                    {names[i], names_of(*inputs_), ""});
      }
      bindings[i] = found->second.device.data();
    }
    ++batches_;
    return true;
  } catch (...) {
    fail();
    return false;
  }
}

void const* Calibrator::on_read_cache(std::size_t& size) noexcept {
  size = calibration_->cache.size();
  return size == 0 ? nullptr : calibration_->cache.data();
}

void Calibrator::on_write_cache(void const* data, std::size_t size) noexcept {
  try {
    auto const* bytes = static_cast<char const*>(data);
    if (thrown_) return;  // what was made of a part of the data is no calibration
    written_.assign(bytes, bytes + size);
    if (calibration_->keep) calibration_->keep(written_);
  } catch (...) {
    fail();
  }
}

void Calibrator::fail() noexcept {
  thrown_ = std::current_exception();
  progress_->stop();
}

}  // namespace tf2trt::detail
