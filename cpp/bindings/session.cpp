// Runs engines on NumPy arrays: what a call costs beside the GPU's work is decided here.
#include "tf2trt/session.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cstring>
#include <optional>

#include "array_copies.hpp"
#include "bindings.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt::bindings {
namespace {

MemoryMode to_mode(std::string const& name) {
  if (name == "auto") return MemoryMode::kAuto;
  if (name == "copy") return MemoryMode::kCopy;
  if (name == "mapped") return MemoryMode::kMapped;
  throw Error(ErrorKind::kUsage, "memory", {name, "auto, copy or mapped", ""});
}

// NumPy's dtype of a tensor; none where NumPy lacks it.
std::optional<py::dtype> numpy_dtype(DType dtype) {
  switch (dtype) {
    case DType::kBfloat16:
    case DType::kFloat8:
    case DType::kInt4:
    case DType::kOther:
      return std::nullopt;
    default:
      return py::dtype(std::string(name_of(dtype)));
  }
}

// What one thread at a time does with a session.
enum class Use { kIdle, kRunning, kPending, kClosed };

class PythonSession {
 public:
  PythonSession(Engine const& engine, std::string const& memory, bool graphs)
      : session_(std::in_place, engine, to_mode(memory), graphs), tensors_(engine.tensors()) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      (tensors_[i].is_input ? inputs_ : outputs_).push_back(i);
      dtypes_.push_back(numpy_dtype(tensors_[i].dtype));
      names_.emplace_back(tensors_[i].name);
      values_decide_ = values_decide_ || (tensors_[i].is_input && tensors_[i].on_host);
    }
    given_.resize(inputs_.size());
  }

  // Claims the session for one run: nobody else may touch it meanwhile.
  void acquire() { change(Use::kIdle, Use::kRunning); }
  void release() noexcept { use_ = Use::kIdle; }
  // From a run that was launched to the caller who waits for it.
  void leave_pending() noexcept { use_ = Use::kPending; }
  void resume() { change(Use::kPending, Use::kRunning); }

  // The whole of a call where everything is as in the call before: C-contiguous arrays of the engine's dtypes and the
  // last shapes. None where something is not, and nothing was done.
  py::object call(py::tuple const& args, py::dict const& named) {
    acquire();
    Release const release_at_end(*this);
    if (!gather(args, named)) return py::none();
    std::vector<py::array> results = allocate();
    {
      py::gil_scoped_release const without_gil;
      copy_in();
      session_->launch();
      session_->wait();
      copy_out(results);
    }
    tell_graph_problem();
    return finish_results(std::move(results));
  }

  // The same up to the launch; resume and take_results finish it.
  bool start(py::tuple const& args, py::dict const& named) {
    acquire();
    Release release_at_end(*this);
    if (!gather(args, named)) return false;
    {
      py::gil_scoped_release const without_gil;
      copy_in();
      session_->launch();
    }
    tell_graph_problem();
    release_at_end.to_pending();
    return true;
  }

  // Copies samples into the rows of the pinned memory from `row` on, until one is not as expected; returns how many.
  std::size_t fill(py::list const& items, std::size_t row) {
    std::vector<Copy> copies;
    std::size_t count = 0;
    for (auto const item : items) {
      if (!add_copies(item, row + count, copies)) break;
      ++count;
    }
    py::gil_scoped_release const without_gil;
    run_copies(copies);
    return count;
  }

  void set_shapes(std::vector<Shape> const& shapes) {
    Session& session = this->session();
    shaped_ = false;
    {
      py::gil_scoped_release const without_gil;
      session.set_shapes(shapes);
    }
    shapes_ = shapes;
    shaped_ = true;
  }

  void wait() {
    Session& session = this->session();
    py::gil_scoped_release const without_gil;
    session.wait();
  }

  void launch(bool download) {
    Session& session = this->session();
    {
      py::gil_scoped_release const without_gil;
      session.launch(download);
    }
    tell_graph_problem();
  }

  // Fresh arrays, or views of the pinned memory; a list in the order of the engine's outputs.
  py::list results(bool copy) {
    py::list list;
    for (std::size_t const i : outputs_) {
      py::array const view = host(i);
      list.append(copy ? py::array(view.dtype(), shape_of(i), view.data()) : view);
    }
    return list;
  }

  // The tensor's pinned memory as an array; the memory lives as long as the array.
  py::array host(std::size_t tensor) {
    if (!dtypes_.at(tensor)) {
      throw Error(ErrorKind::kInput, "tensor '" + tensors_[tensor].name + "' cannot be a NumPy array",
                  {name_of(tensors_[tensor].dtype), "a dtype that NumPy has",
                   "build the engine from a model with float32 inputs and outputs; its layers may be of any type"});
    }
    auto const shape = shape_of(tensor);
    auto* owner = new std::shared_ptr<void>(session().share_host(tensor));
    void* const data = owner->get();
    py::capsule const base(owner, [](void* pointer) { delete static_cast<std::shared_ptr<void>*>(pointer); });
    return {*dtypes_[tensor], shape, data, base};
  }

  // (address, shape, dtype, owner of the memory) of a tensor on the device.
  py::tuple device(std::size_t tensor) {
    Shape const shape = session().shape(tensor);
    auto* owner = new std::shared_ptr<void>(session().share_device(tensor));
    auto const address = reinterpret_cast<std::uintptr_t>(session().device(tensor));
    py::capsule const base(owner, [](void* pointer) { delete static_cast<std::shared_ptr<void>*>(pointer); });
    return py::make_tuple(address, to_tuple(shape), std::string(name_of(tensors_[tensor].dtype)), base);
  }

  void set_device_input(std::size_t tensor, std::uintptr_t address) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): Python hands addresses over as integers
    session().set_device_input(tensor, reinterpret_cast<void*>(address));
  }

  // Waits for work in flight and gives everything back. Safe to call twice; not while another thread is in a call.
  void close() {
    Use expected = Use::kIdle;
    if (!use_.compare_exchange_strong(expected, Use::kClosed)) {
      if (expected == Use::kClosed) return;
      if (expected == Use::kRunning) throw Error(ErrorKind::kEngine, kBusy, {"close() during a call", "", kOneEach});
      use_ = Use::kClosed;  // a ticket is pending: its work is waited for by the session's destructor
    }
    py::gil_scoped_release const without_gil;
    session_.reset();
  }

  // Throws Error(kEngine) after close().
  Session& session() {
    if (!session_) {
      throw Error(ErrorKind::kEngine, "the execution context is closed",
                  {"", "", "make another: engine.context(); or use it inside its `with` block"});
    }
    return *session_;
  }
  [[nodiscard]] bool closed() const noexcept { return use_ == Use::kClosed; }

 private:
  static constexpr char const* kBusy = "the execution context is in use";
  static constexpr char const* kOneEach = "one context for each thread: engine.context(); or call the engine itself";

  class Release {
   public:
    explicit Release(PythonSession& session) : session_(&session) {}
    ~Release() { session_->use_ = next_; }
    Release(Release const&) = delete;
    Release& operator=(Release const&) = delete;
    Release(Release&&) = delete;
    Release& operator=(Release&&) = delete;
    void to_pending() noexcept { next_ = Use::kPending; }

   private:
    PythonSession* session_;
    Use next_ = Use::kIdle;
  };

  void change(Use from, Use to) {
    Use found = from;
    if (use_.compare_exchange_strong(found, to)) return;
    if (found == Use::kClosed) (void)session();
    if (found == Use::kPending) {
      throw Error(ErrorKind::kEngine, kBusy,
                  {"a ticket whose result was not taken", "", "ticket.result() first, or a second context"});
    }
    throw Error(ErrorKind::kEngine, kBusy,
                {from == Use::kPending ? "no ticket" : "another thread's call", "", kOneEach});
  }

  // Said once, not with each call.
  void tell_graph_problem() {
    if (told_graph_problem_ || session_->graph_problem().empty()) return;
    told_graph_problem_ = true;
    py::object const log = py::module_::import("logging").attr("getLogger")("tf2trt.runtime");
    log.attr("warning")("no CUDA graph for this engine, running it without: %s", session_->graph_problem());
  }

  py::array::ShapeContainer shape_of(std::size_t tensor) {
    Shape const& shape = session().shape(tensor);
    return {shape.begin(), shape.end()};
  }

  [[nodiscard]] void const* plain_data(std::size_t tensor, py::handle value, std::int64_t const* shape,
                                       std::size_t rank) const {
    return dtypes_[tensor] ? bindings::plain_data(value, *dtypes_[tensor], shape, rank) : nullptr;
  }

  // Fills given_ from the arguments of a call; without any, what lies in the pinned memory already is meant.
  bool gather(py::tuple const& args, py::dict const& named) {
    if (!shaped_ || values_decide_) return false;
    auto const positional = static_cast<std::size_t>(PyTuple_GET_SIZE(args.ptr()));
    PyObject* mapping = named.ptr();
    std::size_t first = positional;
    if (positional == 1 && PyDict_Check(PyTuple_GET_ITEM(args.ptr(), 0)) && named.empty()) {
      mapping = PyTuple_GET_ITEM(args.ptr(), 0);
      first = 0;
    }
    in_place_ = positional == 0 && named.empty();
    if (in_place_) return true;
    if (first + static_cast<std::size_t>(PyDict_Size(mapping)) != inputs_.size()) return false;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      PyObject* value = k < first ? PyTuple_GET_ITEM(args.ptr(), static_cast<Py_ssize_t>(k))
                                  : PyDict_GetItemWithError(mapping, names_[inputs_[k]].ptr());
      if (value == nullptr) return false;
      given_[k] = plain_data(inputs_[k], value, shapes_[k].data(), shapes_[k].size());
      if (given_[k] == nullptr) return false;
    }
    return true;
  }

  void copy_in() {
    if (in_place_) return;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      session_->set_device_input(inputs_[k], nullptr);
      session_->fill(inputs_[k], given_[k]);
    }
  }

  // The copies that put one sample into a row; false, and none of them, where something is not as expected.
  bool add_copies(py::handle item, std::size_t row, std::vector<Copy>& copies) {
    std::size_t const before = copies.size();
    bool const bare = inputs_.size() == 1 && !PyTuple_Check(item.ptr()) && !PyDict_Check(item.ptr());
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      PyObject* value = bare ? item.ptr() : nullptr;
      if (PyDict_Check(item.ptr())) {
        value = PyDict_GetItemWithError(item.ptr(), names_[inputs_[k]].ptr());
      } else if (PyTuple_Check(item.ptr()) && k < static_cast<std::size_t>(PyTuple_GET_SIZE(item.ptr()))) {
        value = PyTuple_GET_ITEM(item.ptr(), static_cast<Py_ssize_t>(k));
      }
      Shape const& shape = shapes_[k];
      void const* data = value == nullptr || row >= static_cast<std::size_t>(shape[0])
                             ? nullptr
                             : plain_data(inputs_[k], value, shape.data() + 1, shape.size() - 1);
      if (data == nullptr) {
        copies.resize(before);
        return false;
      }
      std::size_t const size = session_->bytes(inputs_[k]) / static_cast<std::size_t>(shape[0]);
      copies.push_back({static_cast<std::byte*>(session_->host(inputs_[k])) + row * size, data, size});
    }
    return true;
  }

  // Fresh arrays for the outputs; empty where a shape is known only after the run, or NumPy lacks a dtype.
  std::vector<py::array> allocate() {
    std::vector<py::array> arrays;
    for (std::size_t const i : outputs_) {
      Shape const& shape = session_->shape(i);
      bool known = dtypes_[i].has_value();
      for (auto const extent : shape) known = known && extent >= 0;
      if (!known || session_->data_dependent(i)) return {};
      arrays.emplace_back(*dtypes_[i], py::array::ShapeContainer(shape.begin(), shape.end()));
    }
    return arrays;
  }

  void copy_out(std::vector<py::array>& arrays) {
    for (std::size_t k = 0; k < arrays.size(); ++k) {
      auto* array = py::detail::array_proxy(arrays[k].ptr());
      std::memcpy(array->data, session_->host(outputs_[k]), session_->bytes(outputs_[k]));
    }
  }

  py::object finish_results(std::vector<py::array>&& arrays) {
    if (arrays.empty()) return results(true);
    py::list list(arrays.size());
    for (std::size_t k = 0; k < arrays.size(); ++k) list[k] = std::move(arrays[k]);
    return list;
  }

  std::optional<Session> session_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::size_t> inputs_;
  std::vector<std::size_t> outputs_;
  std::vector<std::optional<py::dtype>> dtypes_;
  std::vector<py::str> names_;
  std::vector<Shape> shapes_;       // of the inputs, as they were set
  std::vector<void const*> given_;  // of the call that runs
  bool shaped_ = false;
  bool in_place_ = false;
  bool told_graph_problem_ = false;
  bool values_decide_ = false;  // an input is a shape tensor: the outputs' shapes follow from its values
  std::atomic<Use> use_ = Use::kIdle;
};

}  // namespace

void bind_session(py::module_& module) {
  py::class_<PythonSession>(module, "Session")
      .def(py::init<Engine const&, std::string const&, bool>(), py::arg("engine"), py::arg("memory") = "auto",
           py::arg("graphs") = true)
      .def("acquire", &PythonSession::acquire)
      .def("release", &PythonSession::release)
      .def("leave_pending", &PythonSession::leave_pending)
      .def("resume", &PythonSession::resume)
      .def("call", &PythonSession::call, py::arg("args"), py::arg("named"))
      .def("start", &PythonSession::start, py::arg("args"), py::arg("named"))
      .def("fill", &PythonSession::fill, py::arg("items"), py::arg("row"))
      .def("set_shapes", &PythonSession::set_shapes, py::arg("shapes"))
      .def("launch", &PythonSession::launch, py::arg("download") = true)
      .def("wait", &PythonSession::wait)
      .def("results", &PythonSession::results, py::arg("copy"))
      .def("host", &PythonSession::host, py::arg("tensor"))
      .def("device", &PythonSession::device, py::arg("tensor"))
      .def("set_device_input", &PythonSession::set_device_input, py::arg("tensor"), py::arg("address"))
      .def("close", &PythonSession::close)
      .def(
          "shape", [](PythonSession& self, std::size_t tensor) { return to_tuple(self.session().shape(tensor)); },
          py::arg("tensor"))
      .def(
          "time_launches",
          [](PythonSession& self, int count, int ahead) { return self.session().time_launches(count, ahead); },
          py::arg("count"), py::arg("ahead") = 0, ReleaseGil())
      .def(
          "profile_layers", [](PythonSession& self) { return self.session().profile_layers(); }, ReleaseGil())
      .def_property_readonly("closed", &PythonSession::closed)
      .def_property_readonly("done", [](PythonSession& self) { return self.session().done(); })
      .def_property_readonly("mapped", [](PythonSession& self) { return self.session().mapped(); })
      .def_property_readonly("replays", [](PythonSession& self) { return self.session().replays(); })
      .def_property_readonly("graph_problem", [](PythonSession& self) { return self.session().graph_problem(); })
      .def_property_readonly(
          "stream", [](PythonSession& self) { return reinterpret_cast<std::uintptr_t>(self.session().stream()); });
}

}  // namespace tf2trt::bindings
