#include "builder_precision.hpp"

#include <algorithm>
#include <vector>

#include "abi/call.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {

char const* name_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kFp16:
      return "fp16";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
    case Precision::kInt8Fp16:
      return "int8+fp16";
  }
  return "";
}

Precision precision_of(std::string const& name) {
  for (Precision const precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16,
                                    Precision::kInt8, Precision::kInt8Fp16}) {
    if (name == name_of(precision)) return precision;
  }
  throw Error(ErrorKind::kUsage, "precision", {name, "fp32, tf32, fp16, bf16, int8 or int8+fp16", ""});
}

namespace detail {

using abi::call;
using abi::Method;
using abi::Value;

namespace {

bool has_int8(Precision precision) { return precision == Precision::kInt8 || precision == Precision::kInt8Fp16; }
bool has_fp16(Precision precision) { return precision == Precision::kFp16 || precision == Precision::kInt8Fp16; }

// The types that layers may have: FP32, and those whose flags a precision sets. A further flag would allow its type to
// all the other layers too.
std::vector<Precision> layer_types_of(Precision precision) {
  std::vector<Precision> types = {Precision::kFp32};
  if (has_fp16(precision)) types.push_back(Precision::kFp16);
  if (precision == Precision::kBf16) types.push_back(Precision::kBf16);
  if (has_int8(precision)) types.push_back(Precision::kInt8);
  return types;
}

void check_layer_types(BuilderOptions const& options) {
  auto const types = layer_types_of(options.precision);
  std::string names;
  for (auto const type : types) names += (names.empty() ? "" : ", ") + std::string(name_of(type));
  for (auto const& [pattern, precision] : options.layer_precision) {
    if (std::find(types.begin(), types.end(), precision) != types.end()) continue;
    bool const sixteen_and_int8 = (has_fp16(options.precision) && precision == Precision::kInt8) ||
                                  (options.precision == Precision::kInt8 && precision == Precision::kFp16);
    throw Error(
        ErrorKind::kUsage,
        "layer precision: precision " + std::string(name_of(options.precision)) + " does not allow this type",
        {pattern + "=" + name_of(precision), names,
         sixteen_and_int8 ? "use precision int8+fp16" : "ask for the type as precision, and for fp32 by layer"});
  }
}

void check_calibration(Calibration const& calibration, Precision precision) {
  if (!has_int8(precision)) {
    throw Error(ErrorKind::kUsage, "calibration: only INT8 has use for it",
                {std::string("precision ") + name_of(precision), "precision int8 or int8+fp16", ""});
  }
  if (calibration.batch_size < 1) {
    throw Error(ErrorKind::kUsage, "calibration: batch size",
                {std::to_string(calibration.batch_size), "a number of at least 1", ""});
  }
  if (!(calibration.quantile > 0 && calibration.quantile <= 1)) {
    throw Error(ErrorKind::kUsage, "calibration: quantile",
                {std::to_string(calibration.quantile), "a number over 0 and up to 1, such as 0.9999", ""});
  }
  if (!calibration.next && calibration.cache.empty()) {
    throw Error(ErrorKind::kUsage, "calibration: neither data nor a cache");
  }
}

bool has_quantize_layer(abi::Api const& api, void* network) {
  int const count = call<Method::VNetworkDefinition_getNbLayers>(api, network);
  for (int i = 0; i < count; ++i) {
    auto const type = call<Method::VLayer_getType>(api, call<Method::VNetworkDefinition_getLayer>(api, network, i));
    if (type == api.value(Value::LayerType_kQUANTIZE) || type == api.value(Value::LayerType_kDEQUANTIZE)) return true;
  }
  return false;
}

}  // namespace

void check_precision(Library const& library, BuilderOptions const& options) {
  std::string const version =
      std::string(library.kind() == LibraryKind::kRtx ? "TensorRT-RTX " : "TensorRT ") + library.version_text();
  if (library.strongly_typed() && !options.layer_precision.empty()) {
    throw Error(ErrorKind::kUsage, "layer precision: " + version + " takes each layer's type from the graph",
                {options.layer_precision[0].pattern + "=" + name_of(options.layer_precision[0].precision),
                 "an ONNX file that holds the types", "tf2trt.surgery.set_precision writes them"});
  }
  if (library.strongly_typed() && options.calibration) {
    throw Error(ErrorKind::kUsage, "calibration: " + version + " has no calibrators",
                {"", "an ONNX file with Q/DQ nodes", "tf2trt calibrate MODEL --data DATA -o INT8.onnx makes one"});
  }
  if (options.precision == Precision::kBf16 && library.generation() == 8) {
    throw Error(ErrorKind::kUsage, "precision bf16: this TensorRT has none",
                {version, "TensorRT 10 or later", "use fp16"});
  }
  check_layer_types(options);
  if (options.calibration) check_calibration(*options.calibration, options.precision);
}

bool check_scales(abi::Api const& api, void* network, BuilderOptions const& options) {
  if (api.generation() >= 11 || !has_int8(options.precision)) return false;
  bool const quantized = has_quantize_layer(api, network);
  // Where layers are to be something else, their scales were taken out of the graph: of all layers, it may be.
  auto const is_int8 = [](LayerPrecision const& rule) { return rule.precision == Precision::kInt8; };
  auto const& rules = options.layer_precision;
  bool const may_have_none = !rules.empty() && std::none_of(rules.begin(), rules.end(), is_int8);
  if (!quantized && !options.calibration && !may_have_none) {
    throw Error(ErrorKind::kUsage, "precision int8: no layer has a scale, so that none would be built in INT8",
                {"a network without Q/DQ nodes, and no calibration data", "one of the two",
                 "tf2trt build --calib DATA, or tf2trt calibrate, which writes Q/DQ nodes"});
  }
  if (quantized && options.calibration) {
    throw Error(ErrorKind::kUsage, "calibration: the network has Q/DQ nodes, beside which TensorRT has no use for it",
                {"", "a network without Q/DQ nodes, or no calibration data", "leave the calibration data out"});
  }
  return quantized || options.calibration.has_value();
}

void set_precision_flags(abi::Api const& api, void* config, BuilderOptions const& options, bool scales) {
  auto const set = [&](Value flag) { call<Method::VBuilderConfig_setFlag>(api, config, api.value(flag)); };
  // TF32 is on by default, for all layers or none. The flag is there in every generation, strongly typed networks
  // included. A layer that is to be FP32 for its accuracy is no more TF32 than a network that is.
  auto const is_fp32 = [](LayerPrecision const& rule) { return rule.precision == Precision::kFp32; };
  bool const has_fp32 = std::any_of(options.layer_precision.begin(), options.layer_precision.end(), is_fp32);
  if (options.precision == Precision::kFp32 || (has_fp32 && options.precision != Precision::kTf32)) {
    call<Method::VBuilderConfig_clearFlag>(api, config, api.value(Value::BuilderFlag_kTF32));
  }
  if (api.generation() >= 11) return;  // the graph's own types decide
  if (has_fp16(options.precision)) set(Value::BuilderFlag_kFP16);
  if (options.precision == Precision::kBf16) set(Value::BuilderFlag_kBF16);
  // Without a scale anywhere TensorRT gives up: "Calibration failure occurred with no scaling factors detected".
  if (has_int8(options.precision) && scales) set(Value::BuilderFlag_kINT8);
  if (!options.layer_precision.empty()) set(Value::BuilderFlag_kOBEY_PRECISION_CONSTRAINTS);
}

}  // namespace detail
}  // namespace tf2trt
