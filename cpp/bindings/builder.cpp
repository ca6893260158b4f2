#include "tf2trt/builder.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <array>

#include "bindings.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/support.hpp"

namespace tf2trt::bindings {
namespace {

constexpr std::array<std::pair<char const*, Precision>, 4> kPrecisions = {
    {{"fp32", Precision::kFp32}, {"tf32", Precision::kTf32}, {"fp16", Precision::kFp16}, {"bf16", Precision::kBf16}}};

std::string precision_name(BuilderOptions const& options) {
  for (auto const& [name, precision] : kPrecisions) {
    if (precision == options.precision) return name;
  }
  return "";
}

void set_precision(BuilderOptions& options, std::string const& wanted) {
  for (auto const& [name, precision] : kPrecisions) {
    if (wanted == name) {
      options.precision = precision;
      return;
    }
  }
  throw Error(ErrorKind::kUsage, "precision", {wanted, "fp32, tf32, fp16 or bf16", ""});
}

using RangeTuple = std::tuple<Shape, Shape, Shape>;
using ProfileDict = std::map<std::string, RangeTuple>;

std::vector<ProfileDict> get_profiles(BuilderOptions const& options) {
  std::vector<ProfileDict> profiles;
  for (auto const& profile : options.profiles) {
    ProfileDict dict;
    for (auto const& [name, range] : profile) dict.emplace(name, RangeTuple{range.min, range.opt, range.max});
    profiles.push_back(std::move(dict));
  }
  return profiles;
}

void set_profiles(BuilderOptions& options, std::vector<ProfileDict> const& profiles) {
  options.profiles.clear();
  for (auto const& dict : profiles) {
    Profile profile;
    for (auto const& [name, range] : dict) {
      profile.emplace(name, ShapeRange{std::get<0>(range), std::get<1>(range), std::get<2>(range)});
    }
    options.profiles.push_back(std::move(profile));
  }
}

BuildResult build_released(Library const& library, std::string const& path, BuilderOptions const& options,
                           Progress const& progress) {
  // pybind11 takes the GIL again whenever `progress` is called.
  py::gil_scoped_release const release;
  return build(library, path, options, progress);
}

}  // namespace

void bind_builder(py::module_& module) {
  py::class_<TensorInfo>(module, "TensorInfo")
      .def_readonly("name", &TensorInfo::name)
      .def_property_readonly("dtype", [](TensorInfo const& self) { return name_of(self.dtype); })
      .def_property_readonly("shape", [](TensorInfo const& self) { return to_tuple(self.shape); })
      .def_readonly("is_input", &TensorInfo::is_input)
      .def_readonly("is_shape", &TensorInfo::is_shape)
      .def_readonly("on_host", &TensorInfo::on_host);

  py::class_<BuilderOptions>(module, "BuilderOptions")
      .def(py::init<>())
      .def_property("precision", &precision_name, &set_precision)
      .def_readwrite("workspace", &BuilderOptions::workspace)
      .def_readwrite("version_compatible", &BuilderOptions::version_compatible)
      .def_readwrite("optimization_level", &BuilderOptions::optimization_level)
      .def_readwrite("plugin_libraries", &BuilderOptions::plugin_libraries)
      .def_property(
          "timing_cache",
          [](BuilderOptions const& self) { return py::bytes(self.timing_cache.data(), self.timing_cache.size()); },
          [](BuilderOptions& self, py::bytes const& bytes) {
            auto const text = static_cast<std::string_view>(bytes);
            self.timing_cache.assign(text.begin(), text.end());
          })
      .def_property("profiles", &get_profiles, &set_profiles);

  py::class_<BuildResult>(module, "BuildResult", py::buffer_protocol())
      .def_buffer([](BuildResult const& self) {
        return py::buffer_info(static_cast<std::uint8_t const*>(self.data()), static_cast<py::ssize_t>(self.size()));
      })
      // The view holds the result, and with it TensorRT's memory.
      .def_property_readonly("plan", [](py::object const& self) { return py::memoryview(self); })
      .def_readonly("inputs", &BuildResult::inputs)
      .def_readonly("outputs", &BuildResult::outputs)
      .def_readonly("layer_types", &BuildResult::layer_types)
      .def_readonly("plugin_libraries", &BuildResult::plugin_libraries)
      .def_property_readonly(
          "timing_cache",
          [](BuildResult const& self) { return py::bytes(self.timing_cache.data(), self.timing_cache.size()); })
      .def_property_readonly("log",
                             [](BuildResult const& self) {
                               py::list lines;
                               for (auto const& line : self.log) lines.append(line.text);
                               return lines;
                             })
      .def_readonly("seconds", &BuildResult::seconds);

  py::class_<UnsupportedNode>(module, "UnsupportedNode")
      .def_readonly("index", &UnsupportedNode::index)
      .def_readonly("name", &UnsupportedNode::name)
      .def_readonly("op_type", &UnsupportedNode::op_type)
      .def_readonly("domain", &UnsupportedNode::domain)
      .def_readonly("origin", &UnsupportedNode::origin)
      .def_readonly("reason", &UnsupportedNode::reason);

  py::class_<Support>(module, "Support")
      .def_readonly("supported", &Support::supported)
      .def_readonly("nodes", &Support::nodes)
      .def_readonly("unsupported", &Support::unsupported)
      .def_readonly("reason", &Support::reason);

  module.def("supports", &supports, py::arg("library"), py::arg("onnx_path"),
             py::arg("plugin_libraries") = std::vector<std::string>{}, py::call_guard<py::gil_scoped_release>());

  module.def("build", &build_released, py::arg("library"), py::arg("onnx_path"), py::arg("options"),
             py::arg("progress") = Progress{});
}

}  // namespace tf2trt::bindings
