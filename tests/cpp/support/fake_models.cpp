#include "support/fake_models.hpp"

#include <algorithm>
#include <sstream>

namespace fake_tensorrt {
namespace {

constexpr std::size_t kTebibyte = std::size_t{1} << 40;

Model doubling(std::string const& name) {
  Model model;
  model.name = name;
  std::int64_t const row = name == "wide" ? 150'001 : 2;
  model.tensors = {{"x", Type::kFloat, {-1, row}, true}, {"y", Type::kFloat, {-1, row}, false}};
  model.profiles = {{{{"x", Range{Shape{1, row}, Shape{4, row}, Shape{4, row}}}}, {}},
                    {{{"x", Range{Shape{1, row}, Shape{8, row}, Shape{16, row}}}}, {}}};
  if (name == "big") model.device_memory = kTebibyte;
  model.can_be_captured = name != "nocapture";
  model.is_broken = name == "broken";
  return model;
}

Model reshaping() {
  Model model;
  model.tensors = {
      {"x", Type::kFloat, {-1}, true}, {"s", Type::kInt32, {2}, true, true}, {"y", Type::kFloat, {-1, -1}, false}};
  model.profiles = {
      {{{"x", Range{Shape{1}, Shape{8}, Shape{64}}}}, {{"s", {std::vector<std::int32_t>{1, 1}, {2, 4}, {8, 8}}}}}};
  return model;
}

}  // namespace

Tensor const* Model::find(std::string const& tensor) const {
  auto const found = std::find_if(tensors.begin(), tensors.end(), [&](auto& t) { return t.name == tensor; });
  return found == tensors.end() ? nullptr : &*found;
}

bool Model::is_dynamic() const { return !profiles.front().shapes.empty(); }

std::optional<Model> find_model(std::string const& text) {
  std::istringstream words(text);
  std::string name;
  words >> name;
  Model model;
  if (name == "double" || name == "nocapture" || name == "broken" || name == "wide" || name == "big") {
    model = doubling(name);
  } else if (name == "static") {
    model.tensors = {{"x", Type::kFloat, {2, 3}, true},
                     {"z", Type::kInt32, {2, 3}, true},
                     {"y", Type::kFloat, {2, 3}, false},
                     {"w", Type::kInt32, {2, 3}, false}};
  } else if (name == "batch4") {
    model.tensors = {{"x", Type::kFloat, {4, 2}, true}, {"y", Type::kFloat, {4, 2}, false}};
  } else if (name == "nonzero") {
    model.tensors = {{"x", Type::kFloat, {4}, true}, {"y", Type::kInt32, {1, -1}, false}};
  } else if (name == "reshape") {
    model = reshaping();
  } else {
    return std::nullopt;
  }
  model.name = name;
  for (std::string word; words >> word;) {
    if (word == "shared") {
      model.shares_profiles = true;
    } else if (word.rfind("batch=", 0) == 0 && model.is_dynamic()) {
      Shape const only{std::stoll(word.substr(std::string("batch=").size())), model.tensors[0].shape[1]};
      model.profiles = {{{{"x", Range{only, only, only}}}, {}}};
    } else {
      return std::nullopt;
    }
  }
  return model;
}

Shape output_shape(Model const& model, Tensor const& output, std::map<std::string, Shape> const& inputs,
                   std::int32_t const* values) {
  if (model.name == "reshape") return values == nullptr ? output.shape : Shape{values[0], values[1]};
  auto const input = inputs.find("x");
  return !model.is_dynamic() || input == inputs.end() ? output.shape : input->second;
}

void compute(Launch const& launch, void* (*storage)(unsigned long long, std::size_t)) {
  auto const values = [&](char const* name, auto type) {
    Operand const operand = launch.operands.at(name);
    return static_cast<decltype(type)*>(storage(operand.address, operand.count * sizeof type));
  };
  std::size_t const count = launch.operands.at("x").count;
  auto const* x = values("x", 0.0F);
  if (x == nullptr) return;
  if (launch.model == "nonzero") {
    auto* places = values("y", std::int32_t{});
    for (std::int32_t i = 0; places != nullptr && i < static_cast<std::int32_t>(count); ++i) {
      if (x[i] != 0) *places++ = i;
    }
    return;
  }
  auto* y = values("y", 0.0F);
  if (y == nullptr) return;
  if (launch.model == "static") {
    auto const* z = values("z", std::int32_t{});
    auto* w = values("w", std::int32_t{});
    if (z == nullptr || w == nullptr) return;
    std::copy(z, z + count, w);
    std::transform(x, x + count, z, y, [](float a, std::int32_t b) { return a + static_cast<float>(b); });
  } else if (launch.model == "batch4") {
    std::transform(x, x + count, y, [](float a) { return a + 1; });
  } else if (launch.model == "reshape") {
    std::copy(x, x + count, y);
  } else {
    std::transform(x, x + count, y, [](float a) { return 2 * a; });
  }
}

}  // namespace fake_tensorrt
