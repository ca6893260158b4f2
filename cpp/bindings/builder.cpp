#include "tf2trt/builder.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "calibration.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/support.hpp"

namespace tf2trt::bindings {
namespace {

// With the Python object that calibrates, or None.
struct Options : BuilderOptions {
  py::object calibrator = py::none();
};

using NamePair = std::pair<std::string, std::string>;

std::vector<NamePair> get_layer_precision(Options const& options) {
  std::vector<NamePair> result;
  result.reserve(options.layer_precision.size());
  for (auto const& [pattern, precision] : options.layer_precision) result.emplace_back(pattern, name_of(precision));
  return result;
}

void set_layer_precision(Options& options, std::vector<NamePair> const& wanted) {
  std::vector<LayerPrecision> list;
  list.reserve(wanted.size());
  for (auto const& [pattern, precision] : wanted) list.push_back({pattern, precision_of(precision)});
  options.layer_precision = std::move(list);
}

py::dict layer_precisions(BuildResult const& result) {
  py::dict named;
  for (auto const& [layer, precision] : result.layer_precisions) named[py::str(layer)] = name_of(precision);
  return named;
}

py::bytes to_bytes(std::vector<char> const& bytes) { return {bytes.data(), bytes.size()}; }

using RangeTuple = std::tuple<Shape, Shape, Shape>;
using ProfileDict = std::map<std::string, RangeTuple>;

std::vector<ProfileDict> get_profiles(Options const& options) {
  std::vector<ProfileDict> profiles;
  for (auto const& profile : options.profiles) {
    ProfileDict dict;
    for (auto const& [name, range] : profile) dict.emplace(name, RangeTuple{range.min, range.opt, range.max});
    profiles.push_back(std::move(dict));
  }
  return profiles;
}

void set_profiles(Options& options, std::vector<ProfileDict> const& profiles) {
  options.profiles.clear();
  for (auto const& dict : profiles) {
    Profile profile;
    for (auto const& [name, range] : dict) {
      profile.emplace(name, ShapeRange{std::get<0>(range), std::get<1>(range), std::get<2>(range)});
    }
    options.profiles.push_back(std::move(profile));
  }
}

std::vector<NamePair> names_and_types(std::vector<std::pair<std::string, DType>> const& tensors) {
  std::vector<NamePair> result;
  result.reserve(tensors.size());
  for (auto const& [name, dtype] : tensors) result.emplace_back(name, name_of(dtype));
  return result;
}

BuildResult build_released(Library const& library, std::string const& path, Options const& given,
                           Progress const& progress) {
  PythonCalibrator calibrator(given.calibrator);
  BuilderOptions options = given;
  if (!given.calibrator.is_none()) options.calibration = calibrator.calibration();
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

  py::class_<Options>(module, "BuilderOptions")
      .def(py::init<>())
      .def_property(
          "precision", [](Options const& self) { return name_of(self.precision); },
          [](Options& self, std::string const& wanted) { self.precision = precision_of(wanted); })
      .def_property("layer_precision", &get_layer_precision, &set_layer_precision)
      .def_readwrite("calibrator", &Options::calibrator)
      .def_readwrite("workspace", &Options::workspace)
      .def_readwrite("version_compatible", &Options::version_compatible)
      .def_readwrite("optimization_level", &Options::optimization_level)
      .def_readwrite("plugin_libraries", &Options::plugin_libraries)
      .def_property(
          "timing_cache", [](Options const& self) { return to_bytes(self.timing_cache); },
          [](Options& self, py::bytes const& bytes) {
            auto const text = static_cast<std::string_view>(bytes);
            self.timing_cache.assign(text.begin(), text.end());
          })
      .def_property("profiles", &get_profiles, &set_profiles);

  py::class_<NetworkLayer>(module, "NetworkLayer")
      .def_readonly("name", &NetworkLayer::name)
      .def_readonly("kind", &NetworkLayer::kind)
      .def_property_readonly("inputs", [](NetworkLayer const& self) { return names_and_types(self.inputs); })
      .def_property_readonly("outputs", [](NetworkLayer const& self) { return names_and_types(self.outputs); });

  py::class_<BuildResult>(module, "BuildResult", py::buffer_protocol())
      .def_buffer([](BuildResult const& self) {
        return py::buffer_info(static_cast<std::uint8_t const*>(self.data()), static_cast<py::ssize_t>(self.size()));
      })
      // The view holds the result, and with it TensorRT's memory.
      .def_property_readonly("plan", [](py::object const& self) { return py::memoryview(self); })
      .def_readonly("inputs", &BuildResult::inputs)
      .def_readonly("outputs", &BuildResult::outputs)
      .def_readonly("layer_types", &BuildResult::layer_types)
      .def_readonly("network_layers", &BuildResult::network_layers)
      .def_readonly("plugin_libraries", &BuildResult::plugin_libraries)
      .def_property_readonly("timing_cache", [](BuildResult const& self) { return to_bytes(self.timing_cache); })
      .def_property_readonly("calibration_cache",
                             [](BuildResult const& self) { return to_bytes(self.calibration_cache); })
      .def_property_readonly("layer_precisions", &layer_precisions)
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
