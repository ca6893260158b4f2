#include "tf2trt/engine.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <optional>

#include "bindings.hpp"

namespace tf2trt::bindings {
namespace {

// NOLINTNEXTLINE(performance-no-int-to-ptr): Python hands streams and addresses over as integers
void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

void bind_engine(py::module_& module) {
  py::class_<ExecutionContext>(module, "ExecutionContext")
      .def(
          "set_profile",
          [](ExecutionContext& self, int index, std::uintptr_t stream) { self.set_profile(index, pointer(stream)); },
          py::arg("index"), py::arg("stream"), ReleaseGil())
      .def("set_input_shape", &ExecutionContext::set_input_shape, py::arg("name"), py::arg("shape"), ReleaseGil())
      .def(
          "tensor_shape",
          [](ExecutionContext const& self, std::string const& name) { return to_tuple(self.tensor_shape(name)); },
          py::arg("name"))
      .def(
          "set_tensor_address",
          [](ExecutionContext& self, std::string const& name, std::uintptr_t address) {
            self.set_tensor_address(name, pointer(address));
          },
          py::arg("name"), py::arg("address"), ReleaseGil())
      .def("unresolved_inputs", &ExecutionContext::unresolved_inputs, ReleaseGil())
      .def(
          "enqueue", [](ExecutionContext& self, std::uintptr_t stream) { self.enqueue(pointer(stream)); },
          py::arg("stream"), ReleaseGil())
      .def(
          "profile_layers",
          [](ExecutionContext& self, std::uintptr_t stream) { return self.profile_layers(pointer(stream)); },
          py::arg("stream"), ReleaseGil());

  py::class_<Engine>(module, "Engine")
      .def_static(
          "deserialize",
          [](Library const& library, py::object const& plan, std::optional<int> device) {
            Bytes const bytes(plan);
            py::gil_scoped_release const release;
            return Engine::deserialize(library, bytes.data(), bytes.size(), device);
          },
          py::arg("library"), py::arg("plan"), py::arg("device") = std::nullopt)
      .def_property_readonly("name", &Engine::name)
      .def_property_readonly("tensors", &Engine::tensors)
      .def_property_readonly("profile_count", &Engine::profile_count)
      .def_property_readonly("layer_count", &Engine::layer_count)
      .def_property_readonly("device_memory_size", &Engine::device_memory_size)
      .def_property_readonly("cuda_context",
                             // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): a CUcontext, as an integer
                             [](Engine const& self) { return reinterpret_cast<std::uintptr_t>(self.cuda_context()); })
      .def(
          "profile_shape",
          [](Engine const& self, std::string const& name, int profile) {
            ShapeRange const range = self.profile_shape(name, profile);
            return py::make_tuple(to_tuple(range.min), to_tuple(range.opt), to_tuple(range.max));
          },
          py::arg("name"), py::arg("profile"))
      .def(
          "profile_values",
          [](Engine const& self, std::string const& name, int profile) {
            ShapeRange const range = self.profile_values(name, profile);
            return py::make_tuple(to_tuple(range.min), to_tuple(range.opt), to_tuple(range.max));
          },
          py::arg("name"), py::arg("profile"))
      .def("information", &Engine::information, ReleaseGil())
      .def("create_context", &Engine::create_context, ReleaseGil());
}

}  // namespace tf2trt::bindings
