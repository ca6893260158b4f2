#include "sdk/attributes.hpp"

#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace tf2trt::plugins {
namespace {

constexpr char kMagic[] = {'T', '2', 'P', '1'};

[[noreturn]] void refuse(std::string const& name, std::string const& received, std::string const& expected) {
  throw std::invalid_argument("attribute \"" + name + "\": received " + received + ", expected " + expected);
}

template <class T>
constexpr FieldType field_type() {
  if constexpr (std::is_same_v<T, float>) return FieldType::kFloat32;
  if constexpr (std::is_same_v<T, std::int32_t>) return FieldType::kInt32;
  return FieldType::kChar;
}

template <class From>
From element(void const* data, std::size_t index) {
  From value{};  // not aligned in a plan
  std::memcpy(&value, static_cast<char const*>(data) + index * sizeof(From), sizeof(From));
  return value;
}

// One element, converted to what the attribute holds.
template <class T>
T read_element(PluginField const& field, std::size_t index) {
  if constexpr (std::is_same_v<T, float>) {
    if (field.type == FieldType::kFloat32) return element<float>(field.data, index);
    if (field.type == FieldType::kFloat64) {
      auto const wide = element<double>(field.data, index);
      // An infinity and a NaN stay what they are.
      if (!std::isfinite(wide) || std::abs(wide) <= std::numeric_limits<float>::max()) return static_cast<float>(wide);
      refuse(field.name, std::to_string(wide), "a number that fits 32 bits");
    }
    refuse(field.name, "field type " + std::to_string(static_cast<int>(field.type)), "a float");
  } else if constexpr (std::is_same_v<T, char>) {
    if (field.type == FieldType::kChar) return element<char>(field.data, index);
    refuse(field.name, "field type " + std::to_string(static_cast<int>(field.type)), "text");
  } else {
    switch (field.type) {
      case FieldType::kInt8:
        return element<std::int8_t>(field.data, index);
      case FieldType::kInt16:
        return element<std::int16_t>(field.data, index);
      case FieldType::kInt32:
        return element<std::int32_t>(field.data, index);
      case FieldType::kInt64: {
        auto const wide = element<std::int64_t>(field.data, index);
        if (wide == static_cast<std::int32_t>(wide)) return static_cast<std::int32_t>(wide);
        refuse(field.name, std::to_string(wide), "an integer of 32 bits");
      }
      default:
        refuse(field.name, "field type " + std::to_string(static_cast<int>(field.type)), "an integer");
    }
  }
}

template <class T>
struct IsList : std::true_type {};
template <>
struct IsList<float> : std::false_type {};
template <>
struct IsList<std::int32_t> : std::false_type {};

struct Loader {
  PluginField const& field;
  char const* name;

  template <class T>
  void operator()(T* member) const {
    if (field.length < 0 || (field.length > 0 && field.data == nullptr)) refuse(name, "no data", "its value");
    auto const length = static_cast<std::size_t>(field.length);
    if constexpr (IsList<T>::value) {
      T values;
      values.reserve(length);
      for (std::size_t i = 0; i < length; ++i) {
        values.push_back(read_element<typename T::value_type>(field, i));
      }
      *member = std::move(values);
    } else {
      if (length != 1) refuse(name, std::to_string(length) + " values", "one");
      *member = read_element<T>(field, 0);
    }
  }
};

struct Viewer {
  char const* name;

  template <class T>
  PluginField operator()(T* member) const {
    if constexpr (IsList<T>::value) {
      static char const nothing = '\0';
      void const* data = member->empty() ? static_cast<void const*>(&nothing) : member->data();
      return {name, data, field_type<typename T::value_type>(), static_cast<std::int32_t>(member->size())};
    } else {
      return {name, member, field_type<T>(), 1};
    }
  }
};

// The types that pack writes; load takes more.
bool is_packed_type(FieldType type) {
  return type == FieldType::kFloat32 || type == FieldType::kInt32 || type == FieldType::kChar;
}

std::size_t bytes_of(PluginField const& field) {
  return static_cast<std::size_t>(field.length) * (field.type == FieldType::kChar ? 1 : 4);
}

class Writer {
 public:
  void number(std::size_t value) {
    auto const narrow = static_cast<std::uint32_t>(value);
    bytes(&narrow, sizeof narrow);
  }
  void bytes(void const* data, std::size_t size) {
    auto const* first = static_cast<char const*>(data);
    out.insert(out.end(), first, first + size);
  }
  std::vector<char> out;
};

class Reader {
 public:
  Reader(void const* data, std::size_t size) : at_(static_cast<char const*>(data)), left_(size) {}
  char const* bytes(std::size_t size) {
    if (size > left_) throw std::invalid_argument("the plugin's data is truncated");
    char const* here = at_;
    at_ += size;
    left_ -= size;
    return here;
  }
  std::uint32_t number() { return element<std::uint32_t>(bytes(sizeof(std::uint32_t)), 0); }
  [[nodiscard]] bool done() const { return left_ == 0; }

 private:
  char const* at_;
  std::size_t left_;
};

std::string names_of(Attributes const& attributes) {
  std::string names;
  for (auto const& attribute : attributes) names += (names.empty() ? "" : ", ") + std::string(attribute.name);
  return names.empty() ? "no attribute" : names;
}

}  // namespace

void load(Attributes const& attributes, PluginFieldCollection const& fields) {
  for (std::int32_t i = 0; i < fields.count; ++i) {
    PluginField const& field = fields.fields[i];
    std::string const name = field.name == nullptr ? "" : field.name;
    bool known = false;
    for (auto const& attribute : attributes) {
      if (name != attribute.name) continue;
      known = true;
      std::visit(Loader{field, attribute.name}, attribute.value);
    }
    if (!known) refuse(name, "an attribute that the operator does not have", names_of(attributes));
  }
}

std::vector<PluginField> fields_of(Attributes const& attributes) {
  std::vector<PluginField> fields;
  fields.reserve(attributes.size());
  for (auto const& attribute : attributes) fields.push_back(std::visit(Viewer{attribute.name}, attribute.value));
  return fields;
}

std::vector<char> pack(Attributes const& attributes) {
  Writer writer;
  writer.bytes(kMagic, sizeof kMagic);
  writer.number(attributes.size());
  for (auto const& field : fields_of(attributes)) {
    std::size_t const name_size = std::strlen(field.name);
    writer.number(name_size);
    writer.number(bytes_of(field));
    writer.number(static_cast<std::size_t>(field.type));
    writer.number(static_cast<std::size_t>(field.length));
    writer.bytes(field.name, name_size);
    writer.bytes(field.data, bytes_of(field));
  }
  return std::move(writer.out);
}

void unpack(Attributes const& attributes, void const* data, std::size_t size) {
  Reader reader(data, data == nullptr ? 0 : size);
  if (std::memcmp(reader.bytes(sizeof kMagic), kMagic, sizeof kMagic) != 0) {
    throw std::invalid_argument("the plugin's data was not written by this plugin library");
  }
  std::vector<PluginField> fields;
  std::deque<std::string> names;  // the fields point into it
  for (std::uint32_t left = reader.number(); left > 0; --left) {
    std::uint32_t const name_size = reader.number();
    std::uint32_t const data_size = reader.number();
    PluginField field{};
    field.type = static_cast<FieldType>(reader.number());
    field.length = static_cast<std::int32_t>(reader.number());
    names.emplace_back(reader.bytes(name_size), name_size);
    field.name = names.back().c_str();
    field.data = reader.bytes(data_size);
    if (!is_packed_type(field.type) || field.length < 0 || bytes_of(field) != data_size) {
      throw std::invalid_argument("the plugin's data is damaged");
    }
    fields.push_back(field);
  }
  if (!reader.done()) throw std::invalid_argument("the plugin's data is longer than its attributes");
  load(attributes, {static_cast<std::int32_t>(fields.size()), fields.data()});
}

}  // namespace tf2trt::plugins
