// What the operators of libtf2trt_plugins.so must answer, and the checks that are the same through IPluginV2DynamicExt
// and through IPluginV3.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "NvInfer.h"
#include "count.hpp"

namespace drive {

using nvinfer1::DataType;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

// From 10 on; the headers of 8 have no name for them.
constexpr auto kBf16 = static_cast<DataType>(7);
constexpr auto kInt64Field = static_cast<PluginFieldType>(10);

// Fields with their own memory.
class Fields {
 public:
  template <class T>
  Fields& add(char const* name, PluginFieldType type, std::initializer_list<T> values) {
    std::string bytes(values.size() * sizeof(T), '\0');
    if (values.size() > 0) std::memcpy(bytes.data(), values.begin(), bytes.size());
    kept_.push_back({name, type, static_cast<std::int32_t>(values.size()), std::move(bytes)});
    return *this;
  }
  // Valid until the next call.
  PluginFieldCollection const* collection() {
    fields_.clear();
    for (auto const& one : kept_) fields_.emplace_back(one.name, one.bytes.data(), one.type, one.length);
    collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
    return &collection_;
  }

 private:
  struct Kept {
    char const* name;
    PluginFieldType type;
    std::int32_t length;
    std::string bytes;
  };
  std::vector<Kept> kept_;
  std::vector<PluginField> fields_;
  PluginFieldCollection collection_{};
};

inline std::string hex(std::string const& bytes) {
  std::string digits;
  for (unsigned char const byte : bytes) {
    for (int const half : {byte >> 4, byte & 15}) digits += "0123456789abcdef"[half];
  }
  return digits;
}

// 0 for a type that no plugin of ours shows.
inline std::size_t size_of(PluginFieldType type) {
  if (type == PluginFieldType::kFLOAT32 || type == PluginFieldType::kINT32) return 4;
  return type == PluginFieldType::kCHAR ? 1 : 0;
}

inline std::string bytes_of(PluginField const& field) {
  if (field.length < 0 || field.length > 100 || field.data == nullptr) return "";
  return {static_cast<char const*>(field.data), static_cast<std::size_t>(field.length) * size_of(field.type)};
}

inline std::string text(PluginFieldCollection const* collection) {
  if (collection == nullptr) return "nullptr";
  std::string all;
  for (std::int32_t i = 0; i < collection->nbFields; ++i) {
    PluginField const& field = collection->fields[i];
    all += (i == 0 ? "" : " ") + text(field.name) + "/" + text(field.type) + "/" + text(field.length) + "/" +
           hex(bytes_of(field));
  }
  return all;
}

// The bytes that plugins/sdk/attributes.hpp promises for a plan of TensorRT 8.
inline std::string number(std::size_t value) {
  auto const narrow = static_cast<std::uint32_t>(value);
  return {reinterpret_cast<char const*>(&narrow), sizeof narrow};
}
inline std::string packed(PluginField const& field, std::size_t size, std::string const& bytes) {
  std::string const name = field.name == nullptr ? "" : field.name;
  return number(name.size()) + number(size) + number(static_cast<std::size_t>(field.type)) +
         number(static_cast<std::size_t>(field.length)) + name + bytes;
}
inline std::string packed(PluginFieldCollection const* collection) {
  std::string all = "T2P1" + number(static_cast<std::size_t>(collection->nbFields));
  for (std::int32_t i = 0; i < collection->nbFields; ++i) {
    std::string const bytes = bytes_of(collection->fields[i]);
    all += packed(collection->fields[i], bytes.size(), bytes);
  }
  return all;
}

struct Refused {
  char const* what;
  Fields fields;
};

struct Accepted {
  DataType type;
  TensorFormat format;
};

struct Operator {
  char const* name;
  Fields defaults;
  Fields given;     // all attributes, none with its default
  Fields wide{};    // the same in other widths, as ONNX's 64-bit integers are
  Fields narrow{};  // the same in 16 and 8 bits
  std::vector<Refused> refused{};
  std::vector<Fields> beyond{};  // fits no tensor of rank 4, which is seen late
  bool has_workspace = false;
  std::vector<Accepted> inputs{};
  bool (*fits)(Accepted input, Accepted output) = nullptr;
};

inline Operator l2_normalize() {
  using F = PluginFieldType;
  auto const fields = [](std::initializer_list<std::int32_t> axes, float epsilon, std::int32_t lp) {
    return Fields{}
        .add("axes", F::kINT32, axes)
        .add("epsilon", F::kFLOAT32, {epsilon})
        .add("lp_normalization", F::kINT32, {lp});
  };
  Operator op{"L2Normalize", fields({-1}, 1e-12F, 0), fields({1, -1}, 0.25F, 1)};
  op.wide.add<std::int64_t>("axes", kInt64Field, {1, -1}).add("epsilon", F::kFLOAT64, {0.25});
  op.wide.add<std::int64_t>("lp_normalization", kInt64Field, {1});
  op.narrow.add<std::int16_t>("axes", F::kINT16, {1, -1}).add("epsilon", F::kFLOAT32, {0.25F});
  op.narrow.add<std::int8_t>("lp_normalization", F::kINT8, {1});
  op.refused = {
      {"axes as FLOAT32", Fields{}.add("axes", F::kFLOAT32, {1.0F})},
      {"no axes", Fields{}.add<std::int32_t>("axes", F::kINT32, {})},
      {"axis 8", Fields{}.add("axes", F::kINT32, {8})},
      {"axis -9", Fields{}.add("axes", F::kINT32, {-9})},
      {"an axis of 33 bits", Fields{}.add<std::int64_t>("axes", kInt64Field, {std::int64_t{1} << 32})},
      {"epsilon as INT32", Fields{}.add("epsilon", F::kINT32, {1})},
      {"a negative epsilon", Fields{}.add("epsilon", F::kFLOAT32, {-1.0F})},
      {"epsilon NaN", Fields{}.add("epsilon", F::kFLOAT32, {std::nanf("")})},
      {"two epsilons", Fields{}.add("epsilon", F::kFLOAT32, {1.0F, 2.0F})},
      {"lp_normalization 2", Fields{}.add("lp_normalization", F::kINT32, {2})},
      {"an unknown attribute", Fields{}.add("axis", F::kINT32, {1})},
      {"an empty name", Fields{}.add("", F::kINT32, {1})},
      {"no name", Fields{}.add(nullptr, F::kINT32, {1})},
  };
  op.beyond = {fields({4}, 0.0F, 0), fields({-5}, 0.0F, 0)};
  op.has_workspace = true;
  for (auto const type : {DataType::kFLOAT, DataType::kHALF, kBf16, DataType::kINT8}) {
    op.inputs.push_back({type, TensorFormat::kLINEAR});
  }
  op.fits = [](Accepted input, Accepted output) {
    bool const is_dequantised =
        input.type == DataType::kINT8 && (output.type == DataType::kFLOAT || output.type == DataType::kHALF);
    return output.format == TensorFormat::kLINEAR && (output.type == input.type || is_dequantised);
  };
  return op;
}

inline Operator leaky_relu() {
  using F = PluginFieldType;
  auto const fields = [](float alpha) { return Fields{}.add("alpha", F::kFLOAT32, {alpha}); };
  Operator op{"LeakyReLU", fields(0.01F), fields(0.25F), Fields{}.add("alpha", F::kFLOAT64, {0.25}), fields(0.25F)};
  op.refused = {
      {"alpha as INT32", Fields{}.add("alpha", F::kINT32, {1})},
      {"no alpha", Fields{}.add<float>("alpha", F::kFLOAT32, {})},
      {"alpha infinite", fields(INFINITY)},
      {"alpha NaN", fields(std::nanf(""))},
      {"an unknown attribute", Fields{}.add("slope", F::kFLOAT32, {1.0F})},
  };
  using T = TensorFormat;
  for (auto const format : {T::kLINEAR, T::kCHW32}) op.inputs.push_back({DataType::kFLOAT, format});
  for (auto const format : {T::kLINEAR, T::kCHW2, T::kHWC8, T::kCHW16, T::kCHW32}) {
    op.inputs.push_back({DataType::kHALF, format});
  }
  op.inputs.push_back({kBf16, T::kLINEAR});
  for (auto const format : {T::kLINEAR, T::kCHW4, T::kCHW32}) op.inputs.push_back({DataType::kINT8, format});
  op.fits = [](Accepted input, Accepted output) { return output.type == input.type && output.format == input.format; };
  return op;
}

inline std::string text(Accepted const& one) { return "type " + text(one.type) + " format " + text(one.format); }

// Every type and format that is asked for; some are for no operator of ours.
inline std::vector<Accepted> combinations() {
  using T = TensorFormat;
  std::vector<Accepted> all;
  for (auto const type :
       {DataType::kFLOAT, DataType::kHALF, DataType::kINT8, DataType::kINT32, DataType::kBOOL, kBf16}) {
    for (auto const format :
         {T::kLINEAR, T::kCHW2, T::kHWC8, T::kCHW4, T::kCHW16, T::kCHW32, T::kDHWC8, T::kCDHW32, T::kHWC}) {
      all.push_back({type, format});
    }
  }
  return all;
}

inline PluginTensorDesc tensor(Accepted how, std::initializer_list<std::int32_t> extents) {
  PluginTensorDesc desc{};
  for (auto const extent : extents) desc.dims.d[desc.dims.nbDims++] = extent;
  desc.type = how.type;
  desc.format = how.format;
  desc.scale = 0.5F;
  return desc;
}

inline void describe(PluginTensorDesc& desc, Accepted how) { desc = tensor(how, {-1, 40, 6, 5}); }
inline void describe(nvinfer1::DynamicPluginTensorDesc& desc, Accepted how) {
  desc.desc = tensor(how, {-1, 40, 6, 5});
  desc.min = tensor(how, {1, 40, 6, 5}).dims;
  desc.max = tensor(how, {8, 40, 6, 5}).dims;
#if NV_TENSORRT_MAJOR > 8
  desc.opt = tensor(how, {4, 40, 6, 5}).dims;
#endif
}

// Desc is what TensorRT passes: PluginTensorDesc to V2, DynamicPluginTensorDesc to V3.
template <class Desc, class Plugin>
void drive_formats(Count& count, Operator const& op, Plugin* plugin) {
  std::string const name = "supportsFormatCombination, ";
  Accepted const unset{static_cast<DataType>(-1), static_cast<TensorFormat>(-1)};  // what comes later is not set yet
  Desc tensors[2];
  for (auto const& input : combinations()) {
    describe(tensors[0], input);
    describe(tensors[1], unset);
    bool wanted = false;
    for (auto const& one : op.inputs) wanted = wanted || (one.type == input.type && one.format == input.format);
    count.same(name + "input " + text(input), plugin->supportsFormatCombination(0, tensors, 1, 1), wanted);
    for (auto const& output : combinations()) {
      if (!wanted) continue;
      describe(tensors[1], output);
      count.same(name + "input " + text(input) + " output " + text(output),
                 plugin->supportsFormatCombination(1, tensors, 1, 1), op.fits(input, output));
    }
  }
  describe(tensors[0], op.inputs.front());
  describe(tensors[1], op.inputs.front());
  count.same(name + "two inputs", plugin->supportsFormatCombination(0, tensors, 2, 1), false);
  count.same(name + "no output", plugin->supportsFormatCombination(0, tensors, 1, 0), false);
  count.same("getWorkspaceSize is above 0", plugin->getWorkspaceSize(tensors, 1, tensors + 1, 1) > 0, op.has_workspace);
}

// There is no GPU here: an empty tensor is done without one, and bad arguments are refused without one.
template <class Plugin>
void drive_enqueue(Count& count, Operator const& op, Plugin* plugin) {
  alignas(256) static char memory[3][1024];
  void const* const inputs[] = {memory[0]};
  void* const outputs[] = {memory[1]};
  void const* const no_inputs[] = {nullptr};
  void* const no_outputs[] = {nullptr};
  for (auto const& input : op.inputs) {
    for (auto const& output : combinations()) {
      if (!op.fits(input, output)) continue;
      auto const x = tensor(input, {2, 0, 4, 4});
      auto const y = tensor(output, {2, 0, 4, 4});
      std::string const name = "enqueue, empty, " + text(input) + " to " + text(output);
      count.same(name, plugin->enqueue(&x, &y, inputs, outputs, memory[2], nullptr), 0);
      count.same(name + ", no memory", plugin->enqueue(&x, &y, no_inputs, no_outputs, nullptr, nullptr), 0);
    }
    auto x = tensor(input, {1, 4, 2, 2});
    auto const refuse = [&](char const* what, void const* const* from, void* const* to, void* workspace) {
      count.same("enqueue, " + std::string(what) + ", " + text(input) + ", fails",
                 plugin->enqueue(&x, &x, from, to, workspace, nullptr) != 0, true);
    };
    refuse("no input", no_inputs, outputs, memory[2]);
    refuse("no output", inputs, no_outputs, memory[2]);
    refuse("neither", no_inputs, no_outputs, memory[2]);
    if (op.has_workspace) refuse("no workspace", inputs, outputs, nullptr);
    for (float const scale : {0.0F, -1.0F, std::nanf("")}) {
      x.scale = scale;
      if (input.type == DataType::kINT8) refuse("a scale that is none", inputs, outputs, memory[2]);
    }
  }
  auto const integers = tensor({DataType::kINT32, TensorFormat::kLINEAR}, {1, 4, 2, 2});
  count.same("enqueue, INT32, fails", plugin->enqueue(&integers, &integers, inputs, outputs, memory[2], nullptr) != 0,
             true);
}

}  // namespace drive
