#include "builder_profiles.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <string>

#include "abi/call.hpp"
#include "parser.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt::detail {

using abi::call;
using abi::Method;
using abi::Value;

namespace {

std::string names_of(std::vector<TensorInfo> const& inputs) {
  std::string names;
  for (auto const& input : inputs) names += (names.empty() ? "" : ", ") + input.name + " " + to_string(input.shape);
  return names;
}

// "2x-1": as they are given, unlike a shape's extents, of which a negative one is unknown.
std::string values_text(Shape const& values) {
  std::string text;
  for (auto const value : values) text += (text.empty() ? "" : "x") + std::to_string(value);
  return text.empty() ? "none" : text;
}

void check_shapes(TensorInfo const& input, ShapeRange const& range) {
  for (Shape const* shape : {&range.min, &range.opt, &range.max}) {
    bool fits = shape->size() == input.shape.size();
    for (std::size_t i = 0; fits && i < shape->size(); ++i) {
      fits = input.shape[i] < 0 ? (*shape)[i] >= 0 : (*shape)[i] == input.shape[i];
    }
    if (!fits) {
      throw Error(ErrorKind::kUsage, "shapes: input \"" + input.name + "\" does not have this shape",
                  {to_string(*shape), to_string(input.shape) + " (? may be any extent)", ""});
    }
  }
}

void check_values(abi::Api const& api, TensorInfo const& input, ShapeRange const& range) {
  std::size_t const count = element_count(input.shape);
  for (Shape const* values : {&range.min, &range.opt, &range.max}) {
    if (values->size() != count) {
      throw Error(ErrorKind::kUsage, "shapes: input \"" + input.name + "\" is a shape tensor: its values are wanted",
                  {values_text(*values), std::to_string(count) + (count == 1 ? " value" : " values"), ""});
    }
    using Narrow = std::numeric_limits<std::int32_t>;
    bool const fits = std::all_of(values->begin(), values->end(),
                                  [](auto value) { return value >= Narrow::min() && value <= Narrow::max(); });
    if (!fits && !abi::has_wide_profile_values(api)) {
      throw Error(ErrorKind::kUsage, "shapes: input \"" + input.name + "\": a value that this TensorRT cannot take",
                  {values_text(*values), "values of 32 bits", ""});
    }
  }
}

bool set_range(abi::Api const& api, void* profile, TensorInfo const& input, ShapeRange const& range) {
  auto const set = [&](Value named, Shape const& entry) {
    std::int32_t const select = api.value(named);
    if (input.is_shape) return abi::set_profile_values(api, profile, input.name.c_str(), select, entry);
    return abi::set_profile_dimensions(api, profile, input.name.c_str(), select, entry);
  };
  return set(Value::OptProfileSelector_kMIN, range.min) && set(Value::OptProfileSelector_kOPT, range.opt) &&
         set(Value::OptProfileSelector_kMAX, range.max);
}

[[noreturn]] void refuse_missing(TensorInfo const& input) {
  std::string const what =
      input.is_shape ? "is a shape tensor and no values are given for it" : "is dynamic and no shapes are given for it";
  std::string const wanted =
      input.is_shape ? "its smallest, most usual and largest values" : "its smallest, most usual and largest shape";
  throw Error(
      ErrorKind::kUsage, "input \"" + input.name + "\" " + what,
      {to_string(input.shape), wanted,
       "--min-shapes " + input.name + ":... --opt-shapes " + input.name + ":... --max-shapes " + input.name + ":..."});
}

}  // namespace

void check_profiles(abi::Api const& api, std::vector<TensorInfo> const& inputs, std::vector<Profile> const& profiles) {
  std::set<std::string> known;
  for (auto const& input : inputs) known.insert(input.name);
  for (auto const& profile : profiles) {
    for (auto const& [name, range] : profile) {
      if (known.count(name) == 0) {
        throw Error(ErrorKind::kUsage, "shapes: the network has no input of this name", {name, names_of(inputs), ""});
      }
    }
  }
  for (auto const& input : inputs) {
    bool given = !profiles.empty();
    for (auto const& profile : profiles) {
      auto const found = profile.find(input.name);
      if (found == profile.end()) {
        given = false;
      } else if (input.is_shape) {
        check_values(api, input, found->second);
      } else {
        check_shapes(input, found->second);
      }
    }
    if (!given && (input.is_shape || is_dynamic(input))) refuse_missing(input);
  }
}

// TensorRT makes no context for an engine in which a shape depends on the data unless it has a profile, be all inputs
// static (https://github.com/pytorch/TensorRT/issues/2516).
std::vector<Profile> needed_profiles(abi::Api const& api, void* network, std::vector<TensorInfo> const& inputs,
                                     std::vector<Profile> const& profiles) {
  if (!profiles.empty() || !has_data_dependent_shapes(api, network)) return profiles;
  Profile profile;
  for (auto const& input : inputs) profile[input.name] = {input.shape, input.shape, input.shape};
  return {profile};
}

void add_profiles(abi::Api const& api, void* builder, void* config, std::vector<TensorInfo> const& inputs,
                  std::vector<Profile> const& profiles) {
  for (auto const& profile : profiles) {
    // The config keeps a pointer; the builder owns profiles and deletes them.
    void* handle = call<Method::VBuilder_createOptimizationProfile>(api, builder);
    for (auto const& input : inputs) {
      auto const found = profile.find(input.name);
      if (found == profile.end() || set_range(api, handle, input, found->second)) continue;
      throw Error(ErrorKind::kUsage, "shapes: TensorRT refuses the profile of input \"" + input.name + "\"");
    }
    if (call<Method::VBuilderConfig_addOptimizationProfile>(api, config, static_cast<void const*>(handle)) < 0) {
      throw Error(ErrorKind::kUsage, "shapes: TensorRT refuses the optimisation profile",
                  {"", "min <= opt <= max for every dynamic input", ""});
    }
  }
}

void set_calibration_profile(abi::Api const& api, void* builder, void* config, std::vector<TensorInfo> const& inputs,
                             std::map<std::string, Shape> const& shapes) {
  void* handle = call<Method::VBuilder_createOptimizationProfile>(api, builder);
  for (auto const& input : inputs) {
    Shape const& shape = shapes.at(input.name);
    if (set_range(api, handle, input, {shape, shape, shape})) continue;
    throw Error(ErrorKind::kUsage, "calibration: TensorRT refuses the shape of input \"" + input.name + "\"",
                {to_string(shape), to_string(input.shape), ""});
  }
  if (!call<Method::VBuilderConfig_setCalibrationProfile>(api, config, static_cast<void const*>(handle))) {
    throw Error(ErrorKind::kUsage, "calibration: TensorRT refuses the shapes of the calibration data");
  }
}

}  // namespace tf2trt::detail
