// What a user's program may look like: every public header, some of what needs no GPU, and the rest only compiled.
#include <cstdio>
#include <string>

#include "tf2trt/buffer.hpp"
#include "tf2trt/builder.hpp"
#include "tf2trt/device.hpp"
#include "tf2trt/engine.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/graph.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/logger.hpp"
#include "tf2trt/onnx.hpp"
#include "tf2trt/plan.hpp"
#include "tf2trt/plugin.hpp"
#include "tf2trt/session.hpp"
#include "tf2trt/stream.hpp"
#include "tf2trt/tensor.hpp"

namespace {

void build_and_run(std::string const& onnx) {
  auto const library = tf2trt::Library::find({}, true);
  tf2trt::register_standard_plugins(library);
  tf2trt::BuilderOptions options;
  options.profiles = {{{"x", {{1, 4}, {2, 4}, {8, 4}}}}};
  auto const plan = tf2trt::build(library, onnx, options);
  auto const engine = tf2trt::Engine::deserialize(library, plan.data(), plan.size());
  tf2trt::Session session(engine);
  tf2trt::HostTensor x{tf2trt::DType::kFloat32, {2, 4}, {}};
  x.data.resize(tf2trt::bytes_of(x.dtype, tf2trt::element_count(x.shape)));
  for (auto const& [name, y] : session.run({{"x", x}})) {
    std::printf("%s %s\n", name.c_str(), tf2trt::to_string(y.shape).c_str());
  }
  tf2trt::Stream const stream;
  auto context = engine.create_context();
  context.set_input_shape("x", {2, 4});
  tf2trt::DeviceBuffer const buffer(64);
  context.set_tensor_address("x", buffer.data());
  context.enqueue(stream.handle());
  tf2trt::Graph const graph = context.capture(stream.handle());
  graph.launch(stream.handle());
  stream.synchronize();
}

}  // namespace

int main(int argc, char** argv) {
  tf2trt::set_log_listener([](tf2trt::LogLine const& line) { std::puts(line.text.c_str()); });
  try {
    if (argc > 1) build_and_run(argv[1]);
    std::string const text(100, 'x');
    (void)tf2trt::read_plan_header(text.data(), text.size());
    return 1;
  } catch (tf2trt::Error const& error) {
    std::puts(error.what());
    std::puts(tf2trt::error_class(error.kind()));
    return error.kind() == tf2trt::ErrorKind::kEngine ? 0 : 1;
  }
}
