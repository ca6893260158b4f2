// Plugin fields, as TensorRT's parser makes them from a node's attributes.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sdk/layout.hpp"

namespace tf2trt::test {

// Owns what its fields point to.
class Fields {
 public:
  Fields& integers(std::string const& name, std::vector<std::int32_t> const& values) {
    return add(name, plugins::FieldType::kInt32, values);
  }
  Fields& reals(std::string const& name, std::vector<float> const& values) {
    return add(name, plugins::FieldType::kFloat32, values);
  }
  Fields& text(std::string const& name, std::string const& value) {
    return add(name, plugins::FieldType::kChar, std::vector<char>(value.begin(), value.end()));
  }
  template <class T>
  Fields& add(std::string const& name, plugins::FieldType type, std::vector<T> const& values) {
    std::string bytes(values.size() * sizeof(T), '\0');
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    fields_.push_back({name, type, static_cast<std::int32_t>(values.size()), bytes, nullptr});
    return *this;
  }
  // With data that is not owned.
  Fields& raw(std::string const& name, plugins::FieldType type, void const* data, std::int32_t length) {
    fields_.push_back({name, type, length, std::nullopt, data});
    return *this;
  }
  // Good until the next call.
  [[nodiscard]] plugins::PluginFieldCollection const& get() const {
    view_.clear();
    for (auto const& field : fields_) {
      view_.push_back({field.name.c_str(), field.bytes ? field.bytes->data() : field.data, field.type, field.length});
    }
    collection_ = {static_cast<std::int32_t>(view_.size()), view_.data()};
    return collection_;
  }

 private:
  struct Field {
    std::string name;
    plugins::FieldType type;
    std::int32_t length;
    std::optional<std::string> bytes;
    void const* data;
  };
  std::vector<Field> fields_;
  mutable std::vector<plugins::PluginField> view_;
  mutable plugins::PluginFieldCollection collection_{};
};

// Name and value of each field: attributes that can be compared.
using FieldValue = std::variant<std::vector<std::int32_t>, std::vector<float>, std::string>;

template <class T>
std::vector<T> field_elements(plugins::PluginField const& field) {
  auto const* first = static_cast<T const*>(field.data);
  return {first, first + field.length};
}

inline std::map<std::string, FieldValue> values_of(std::vector<plugins::PluginField> const& fields) {
  std::map<std::string, FieldValue> values;
  for (auto const& field : fields) {
    FieldValue& value = values[field.name];
    if (field.type == plugins::FieldType::kInt32) value = field_elements<std::int32_t>(field);
    if (field.type == plugins::FieldType::kFloat32) value = field_elements<float>(field);
    if (field.type == plugins::FieldType::kChar) {
      value = std::string(static_cast<char const*>(field.data), static_cast<std::size_t>(field.length));
    }
  }
  return values;
}
inline std::map<std::string, FieldValue> values_of(plugins::PluginFieldCollection const& fields) {
  return values_of(std::vector<plugins::PluginField>(fields.fields, fields.fields + fields.count));
}

}  // namespace tf2trt::test
