// Arrays of other libraries, in and out without a copy: DLPack capsules, and the order between two streams.
#include "dlpack.hpp"

#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string_view>

#include "bindings.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt::bindings {
namespace {

using dlpack::Code;
using dlpack::DataType;
using dlpack::Managed;
using dlpack::ManagedVersioned;
using dlpack::Tensor;

struct NamedType {
  char const* name;
  Code code;
  std::uint8_t bits;
};

// NumPy's names, and "bfloat16". More than engines take, so that what was received can be named.
constexpr std::array<NamedType, 15> kTypes = {{
    {"float32", Code::kFloat, 32},
    {"float16", Code::kFloat, 16},
    {"bfloat16", Code::kBfloat, 16},
    {"int8", Code::kInt, 8},
    {"uint8", Code::kUInt, 8},
    {"int32", Code::kInt, 32},
    {"int64", Code::kInt, 64},
    {"bool", Code::kBool, 8},
    {"float64", Code::kFloat, 64},
    {"int16", Code::kInt, 16},
    {"uint16", Code::kUInt, 16},
    {"uint32", Code::kUInt, 32},
    {"uint64", Code::kUInt, 64},
    {"complex64", Code::kComplex, 64},
    {"complex128", Code::kComplex, 128},
}};

DataType to_data_type(std::string const& name) {
  for (auto const& type : kTypes) {
    if (name == type.name) return {static_cast<std::uint8_t>(type.code), type.bits, 1};
  }
  throw Error(ErrorKind::kInput, "DLPack has no such dtype", {name, "a dtype of NumPy's, or bfloat16", ""});
}

char const* to_name(DataType type) {
  if (type.lanes != 1) {
    throw Error(ErrorKind::kInput, "the array's elements are vectors",
                {std::to_string(type.lanes) + " lanes", "1 lane", "make the lanes the last dimension"});
  }
  for (auto const& named : kTypes) {
    if (type.code == static_cast<std::uint8_t>(named.code) && type.bits == named.bits) return named.name;
  }
  throw Error(ErrorKind::kInput, "the array's dtype is unknown",
              {"DLPack type code " + std::to_string(type.code) + " of " + std::to_string(type.bits) + " bits",
               "a dtype of NumPy's, or bfloat16", "convert the array first"});
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): Python hands streams and addresses over as integers
void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// The names of a capsule before and after it is consumed.
template <class M>
constexpr char const* kName = "dltensor";
template <>
constexpr char const* kName<ManagedVersioned> = "dltensor_versioned";
template <class M>
constexpr char const* kUsedName = "used_dltensor";
template <>
constexpr char const* kUsedName<ManagedVersioned> = "used_dltensor_versioned";

// --- out -------------------------------------------------------------------------------------------------------------

// What a capsule of ours points to, with all that it points to in turn.
template <class M>
struct Exported {
  M managed{};  // first: its address is the one in the capsule
  Shape shape;
  Shape strides;
  PyObject* owner = nullptr;
};

// The deleter; the consumer may call it from any thread, with or without the GIL.
template <class M>
void release(M* managed) {
  std::unique_ptr<Exported<M>> const exported(static_cast<Exported<M>*>(managed->context));
  if (Py_IsInitialized() == 0) return;  // the owner went with the interpreter
  py::gil_scoped_acquire const gil;
  py::error_scope const keep;  // what the owner does when it dies is no part of an error on its way
  Py_DECREF(exported->owner);
}

// The capsule's own destructor: whoever consumed it has renamed it and calls the deleter himself.
template <class M>
void drop(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kName<M>) == 0) return;
  auto* managed = static_cast<M*>(PyCapsule_GetPointer(capsule, kName<M>));
  if (managed->deleter != nullptr) managed->deleter(managed);
}

void set_version(Managed& /*managed*/) {}
void set_version(ManagedVersioned& managed) { managed.version = {dlpack::kMajor, dlpack::kMinor}; }

template <class M>
py::object make_capsule(Tensor tensor, Shape const& shape, py::handle owner) {
  auto exported = std::make_unique<Exported<M>>();
  exported->shape = shape;
  exported->strides.resize(shape.size());
  std::int64_t stride = tensor.data == nullptr ? 0 : 1;  // no elements: any strides do, and these cannot overflow
  for (std::size_t i = shape.size(); i-- > 0; stride *= shape[i]) exported->strides[i] = stride;
  tensor.shape = exported->shape.data();
  tensor.strides = exported->strides.data();
  M& managed = exported->managed;
  set_version(managed);
  managed.tensor = tensor;
  managed.context = exported.get();
  managed.deleter = &release<M>;
  PyObject* capsule = PyCapsule_New(&managed, kName<M>, &drop<M>);
  if (capsule == nullptr) throw py::error_already_set();
  exported->owner = owner.inc_ref().ptr();
  static_cast<void>(exported.release());  // the deleter's from here on
  return py::reinterpret_steal<py::object>(capsule);
}

py::object dlpack_capsule(std::uintptr_t address, Shape const& shape, std::string const& dtype,
                          std::int32_t device_type, std::int32_t device_id, py::object const& owner, bool versioned) {
  Tensor tensor{};
  tensor.data = element_count(shape) == 0 ? nullptr : pointer(address);
  tensor.device = {device_type, device_id};
  tensor.ndim = static_cast<std::int32_t>(shape.size());
  tensor.dtype = to_data_type(dtype);
  return versioned ? make_capsule<ManagedVersioned>(tensor, shape, owner) : make_capsule<Managed>(tensor, shape, owner);
}

// --- in --------------------------------------------------------------------------------------------------------------

// The memory behind a consumed capsule, which stays until the view dies.
struct DlpackView {
  std::unique_ptr<void, void (*)(void*)> managed;
  std::uintptr_t address;
  Shape shape;
  std::optional<Shape> strides;
  char const* dtype;
  dlpack::Device device;
};

template <class M>
void call_deleter(void* managed) {
  auto* typed = static_cast<M*>(managed);
  if (typed->deleter != nullptr) typed->deleter(typed);
}

void check_version(Managed const& /*managed*/) {}
void check_version(ManagedVersioned const& managed) {
  if (managed.version.major == dlpack::kMajor) return;
  throw Error(ErrorKind::kInput, "the array's DLPack version is not supported",
              {std::to_string(managed.version.major) + "." + std::to_string(managed.version.minor),
               std::to_string(dlpack::kMajor) + ".x", "ask the producer for max_version=(1, 0)"});
}

// All checks come before the capsule is renamed: one that is refused stays its own, and frees itself.
template <class M>
DlpackView consume(py::handle capsule) {
  auto* managed = static_cast<M*>(PyCapsule_GetPointer(capsule.ptr(), kName<M>));
  check_version(*managed);
  Tensor const& tensor = managed->tensor;
  auto const rank = static_cast<std::size_t>(tensor.ndim);
  if (tensor.ndim < 0 || (rank != 0 && tensor.shape == nullptr)) {
    throw Error(ErrorKind::kInput, "the DLPack capsule is damaged",
                {std::to_string(tensor.ndim) + " dimensions" + (tensor.shape == nullptr ? " without a shape" : ""),
                 "a shape of that rank", ""});
  }
  // NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast): addresses go to Python as integers
  DlpackView view{{nullptr, &call_deleter<M>},
                  reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset,
                  {},
                  std::nullopt,
                  to_name(tensor.dtype),
                  tensor.device};
  // NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast)
  if (rank != 0) view.shape.assign(tensor.shape, tensor.shape + rank);
  if (rank == 0 || tensor.strides != nullptr) view.strides.emplace(tensor.strides, tensor.strides + rank);
  if (PyCapsule_SetName(capsule.ptr(), kUsedName<M>) != 0) throw py::error_already_set();
  view.managed.reset(managed);
  return view;
}

DlpackView dlpack_view(py::object const& capsule) {
  if (PyCapsule_CheckExact(capsule.ptr()) == 0) {
    throw Error(ErrorKind::kInput, "this is no DLPack capsule",
                {py::str(py::type::handle_of(capsule).attr("__name__")), "what an array's __dlpack__() returns", ""});
  }
  char const* given = PyCapsule_GetName(capsule.ptr());
  std::string_view const name = given == nullptr ? "" : given;
  if (name == kName<Managed>) return consume<Managed>(capsule);
  if (name == kName<ManagedVersioned>) return consume<ManagedVersioned>(capsule);
  if (name == kUsedName<Managed> || name == kUsedName<ManagedVersioned>) {
    throw Error(ErrorKind::kInput, "the DLPack capsule was used before",
                {std::string(name), "a fresh capsule", "a capsule is good for one consumer: call __dlpack__() again"});
  }
  throw Error(ErrorKind::kInput, "this capsule is not DLPack's",
              {"a capsule named '" + std::string(name) + "'",
               std::string(kName<Managed>) + " or " + kName<ManagedVersioned>, ""});
}

}  // namespace

void bind_dlpack(py::module_& module) {
  module.def("dlpack_capsule", &dlpack_capsule, py::arg("address"), py::arg("shape"), py::arg("dtype"),
             py::arg("device_type"), py::arg("device_id"), py::arg("owner"), py::kw_only(), py::arg("versioned"));

  py::class_<DlpackView>(module, "DlpackView")
      .def_readonly("address", &DlpackView::address)
      .def_property_readonly("shape", [](DlpackView const& self) { return to_tuple(self.shape); })
      .def_property_readonly("strides",
                             [](DlpackView const& self) -> std::optional<py::tuple> {
                               if (!self.strides) return std::nullopt;
                               return to_tuple(*self.strides);
                             })
      .def_readonly("dtype", &DlpackView::dtype)
      .def_property_readonly("device_type", [](DlpackView const& self) { return self.device.type; })
      .def_property_readonly("device_id", [](DlpackView const& self) { return self.device.id; });
  module.def("dlpack_view", &dlpack_view, py::arg("capsule"));

  module.def(
      "stream_wait",
      [](std::uintptr_t consumer, std::uintptr_t producer) { wait(pointer(consumer), pointer(producer)); },
      py::arg("consumer"), py::arg("producer"), ReleaseGil());
}

}  // namespace tf2trt::bindings
