// An operator's attributes as a table: read from TensorRT's plugin fields, written into a plan and read back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sdk/layout.hpp"

namespace tf2trt::plugins {

// One attribute: its name, and the member of the operator that holds it. What the member was initialised with is the
// default.
struct Attribute {
  char const* name;
  std::variant<float*, std::int32_t*, std::vector<float>*, std::vector<std::int32_t>*, std::string*> value;
};
using Attributes = std::vector<Attribute>;

// Sets the attributes that `fields` hold; the others keep their values. A number may come in another width, as ONNX
// has only 64-bit integers. Throws std::invalid_argument for an unknown name, a wrong type or length, or a value that
// does not fit.
void load(Attributes const& attributes, PluginFieldCollection const& fields);

// The attributes as fields that point to the members.
std::vector<PluginField> fields_of(Attributes const& attributes);

// The attributes as bytes, for TensorRT 8, which leaves the format to the plugin: the word "T2P1", the number of
// attributes, then for each the lengths of name and data in bytes, the field type, the length in elements, name, data.
// All numbers are 32-bit, in the machine's own order: a plan does not leave its machine either.
std::vector<char> pack(Attributes const& attributes);
// The opposite of pack. Throws std::invalid_argument for bytes that pack did not write.
void unpack(Attributes const& attributes, void const* data, std::size_t size);

}  // namespace tf2trt::plugins
