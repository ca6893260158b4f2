// tf2trt._native: errors, libraries, the device; the builder, the engine and DLPack are in their own files.
#include <pybind11/stl.h>

#include "abi/object.hpp"
#include "bindings.hpp"
#include "tf2trt/device.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/plan.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt::bindings {
namespace {

char const* name_of(LibraryKind kind) {
  switch (kind) {
    case LibraryKind::kFull:
      return "full";
    case LibraryKind::kLean:
      return "lean";
    case LibraryKind::kRtx:
      return "rtx";
  }
  return "";
}

// The class of the same name in tf2trt.errors: one exception tree, written in Python.
void translate_errors() {
  py::register_exception_translator(
      [](std::exception_ptr pointer) {  // NOLINT(performance-unnecessary-value-param): pybind11 asks for it by value
        try {
          if (pointer) std::rethrow_exception(pointer);
        } catch (Error const& error) {
          py::object const type = py::module_::import("tf2trt.errors").attr(error_class(error.kind()));
          PyErr_SetObject(type.ptr(), type(error.what()).ptr());
        }
      });
}

void bind_libraries(py::module_& module) {
  py::class_<Library>(module, "Library")
      .def_static("open", &Library::open, py::arg("path"), ReleaseGil())
      .def_property_readonly("path", &Library::path)
      .def_property_readonly("parser_path", &Library::parser_path)
      .def_property_readonly("kind", [](Library const& self) { return name_of(self.kind()); })
      .def_property_readonly("version",
                             [](Library const& self) {
                               auto const version = self.version();
                               return py::make_tuple(version[0], version[1], version[2]);
                             })
      .def_property_readonly("version_text", &Library::version_text)
      .def_property_readonly("generation", &Library::generation)
      .def_property_readonly("can_build", &Library::can_build)
      .def_property_readonly("can_parse", &Library::can_parse)
      .def_property_readonly("strongly_typed", &Library::strongly_typed)
      .def_property_readonly("builds_without_gpu", &Library::builds_without_gpu)
      .def("reads", &Library::reads, py::arg("plan"));
  py::class_<Candidate>(module, "Candidate")
      .def_readonly("path", &Candidate::path)
      .def_readonly("source", &Candidate::source)
      .def_readonly("reason", &Candidate::reason)
      .def_property_readonly("library", [](Candidate const& self) -> std::optional<Library> {
        if (self.library == nullptr) return std::nullopt;
        return *self.library;
      });
  module.def("list_libraries", &list_libraries, py::arg("folders") = std::vector<std::string>{}, ReleaseGil());
  module.def(
      "find_library",
      [](std::vector<std::string> const& folders, bool need_builder, PlanHeader const* plan, bool lean) {
        return Library::find(folders, need_builder, plan, lean ? std::optional(LibraryKind::kLean) : std::nullopt);
      },
      py::arg("folders") = std::vector<std::string>{}, py::arg("need_builder") = false,
      py::arg("plan").none(true) = nullptr, py::kw_only(), py::arg("lean") = false, ReleaseGil());
  module.def("register_standard_plugins", &register_standard_plugins, py::arg("library"), ReleaseGil());
  module.def("load_plugin_library", &load_plugin_library, py::arg("library"), py::arg("path"), ReleaseGil());
  module.def("find_plugin_library", &find_plugin_library, ReleaseGil());
  module.def("plugin_operators", &plugin_operators, py::arg("onnx_path"), ReleaseGil());
}

void bind_device(py::module_& module) {
  py::class_<Device>(module, "Device")
      .def_readonly("name", &Device::name)
      .def_property_readonly(
          "compute_capability",
          [](Device const& self) { return py::make_tuple(self.compute_capability[0], self.compute_capability[1]); })
      .def_readonly("total_memory", &Device::total_memory)
      .def_readonly("integrated", &Device::integrated)
      .def_readonly("driver_version", &Device::driver_version);
  module.def("device", &device, py::arg("ordinal") = 0, ReleaseGil());
  module.def("available_memory", &available_memory, ReleaseGil());
}

void bind_plan(py::module_& module) {
  py::class_<PlanHeader>(module, "PlanHeader")
      .def_property_readonly("version",
                             [](PlanHeader const& self) {
                               auto const& v = self.version;
                               return py::make_tuple(v[0], v[1], v[2], v[3]);
                             })
      .def_property_readonly("version_text", &PlanHeader::version_text)
      .def_readonly("serialization", &PlanHeader::serialization);
  module.def(
      "read_plan_header",
      [](py::object const& plan, std::string const& name) {
        Bytes const bytes(plan);
        return read_plan_header(bytes.data(), bytes.size(), name);
      },
      py::arg("plan"), py::arg("name") = "engine");
}

}  // namespace
}  // namespace tf2trt::bindings

PYBIND11_MODULE(_native, module) {
  using namespace tf2trt::bindings;  // NOLINT(google-build-using-namespace): the module is nothing but these
  module.attr("__version__") = TF2TRT_VERSION;
  translate_errors();
  bind_plan(module);
  bind_libraries(module);
  bind_device(module);
  bind_builder(module);
  bind_engine(module);
  bind_dlpack(module);
  bind_session(module);
  module.def("live_objects", &tf2trt::abi::live_objects);
}
