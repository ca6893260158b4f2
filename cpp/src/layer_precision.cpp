#include "layer_precision.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <numeric>

#include "abi/call.hpp"
#include "dtype.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt::detail {

using abi::call;
using abi::Method;
using abi::Value;

namespace {

constexpr std::size_t kNamesShown = 3;

// https://en.wikipedia.org/wiki/Levenshtein_distance, a row at a time.
std::size_t distance(std::string const& a, std::string const& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t const changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

Value type_of(Precision precision) {
  if (precision == Precision::kFp16) return Value::DataType_kHALF;
  if (precision == Precision::kBf16) return Value::DataType_kBF16;
  return precision == Precision::kInt8 ? Value::DataType_kINT8 : Value::DataType_kFLOAT;
}

// Layers whose types are not a matter of choice: what they give is what they are there for, or follows their readers.
bool is_typed_by_itself(abi::Api const& api, void* layer) {
  constexpr Value kKinds[] = {Value::LayerType_kCONSTANT, Value::LayerType_kIDENTITY, Value::LayerType_kCAST,
                              Value::LayerType_kQUANTIZE, Value::LayerType_kDEQUANTIZE};
  auto const type = call<Method::VLayer_getType>(api, layer);
  return std::any_of(std::begin(kKinds), std::end(kKinds),
                     [&](Value kind) { return api.has(kind) && api.value(kind) == type; });
}

bool is_floating(abi::Api const& api, void* tensor) {
  if (tensor == nullptr || call<Method::VTensor_isShapeTensor>(api, tensor)) return false;
  DType const dtype = to_dtype(api, call<Method::VTensor_getType>(api, tensor));
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBfloat16;
}

// Whether there was anything to set.
bool set_precision(abi::Api const& api, void* layer, Precision precision) {
  if (is_typed_by_itself(api, layer)) return false;
  auto const type = api.value(type_of(precision));
  int const outputs = call<Method::VLayer_getNbOutputs>(api, layer);
  bool is_set = false;
  for (int i = 0; i < outputs; ++i) {
    if (!is_floating(api, call<Method::VLayer_getOutput>(api, layer, i))) continue;
    is_set = true;
    // INT8 is left to TensorRT here: a layer that computes in it may well give FP32 to a reader that wants that, and
    // has to where its output has no scale.
    if (precision != Precision::kInt8) call<Method::VLayer_setOutputType>(api, layer, i, type);
  }
  if (is_set) call<Method::VLayer_setPrecision>(api, layer, type);
  return is_set;
}

[[noreturn]] void refuse_pattern(LayerPrecision const& wanted, std::vector<std::string> const& names) {
  std::string nearest;
  for (auto const& name : nearest_names(wanted.pattern, names, kNamesShown)) {
    nearest += (nearest.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorKind::kUsage, "layer precision: the network has no layer of this name",
              {wanted.pattern + "=" + name_of(wanted.precision),
               nearest.empty() ? "a network with layers"
                               : "a pattern for one of its " + std::to_string(names.size()) +
                                     " layers; the nearest names are: " + nearest,
               ""});
}

}  // namespace

bool matches(std::string const& pattern, std::string const& name) {
  return pattern == name || fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

std::vector<std::string> nearest_names(std::string const& wanted, std::vector<std::string> names, std::size_t count) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  ranked.reserve(names.size());
  for (auto& name : names) {
    std::size_t const far = distance(wanted, name);
    ranked.emplace_back(far, std::move(name));
  }
  count = std::min(count, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count), ranked.end());
  names.clear();
  for (std::size_t i = 0; i < count; ++i) names.push_back(std::move(ranked[i].second));
  return names;
}

std::map<std::string, Precision> set_layer_precisions(abi::Api const& api, void* network,
                                                      std::vector<LayerPrecision> const& wanted) {
  std::map<std::string, Precision> set;
  if (wanted.empty()) return set;
  std::vector<void*> layers(static_cast<std::size_t>(call<Method::VNetworkDefinition_getNbLayers>(api, network)));
  std::vector<std::string> names;
  for (auto& layer : layers) {
    layer = call<Method::VNetworkDefinition_getLayer>(api, network, static_cast<std::int32_t>(names.size()));
    names.emplace_back(call<Method::VLayer_getName>(api, layer));
  }
  std::vector<LayerPrecision const*> last(layers.size());
  for (auto const& each : wanted) {
    bool found = false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (!matches(each.pattern, names[i])) continue;
      found = true;
      last[i] = &each;
    }
    if (!found) refuse_pattern(each, names);
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (last[i] != nullptr && set_precision(api, layers[i], last[i]->precision)) set[names[i]] = last[i]->precision;
  }
  return set;
}

}  // namespace tf2trt::detail
