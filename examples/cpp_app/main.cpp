// Loads an engine, says what it takes, runs it once and shows what comes out. A start for a program of your own.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>
#include <tf2trt/engine.hpp>
#include <tf2trt/error.hpp>
#include <tf2trt/session.hpp>

namespace {

// Something to run on: 0, 1/256, 2/256 up to 255/256 and again from 0. Types other than float32 get zeros, which are
// good indices too. A program of your own puts its data here: row-major bytes.
tf2trt::HostTensor make_input(tf2trt::DType dtype, tf2trt::Shape const& shape) {
  tf2trt::HostTensor tensor{dtype, shape, {}};
  tensor.data.resize(tf2trt::bytes_of(dtype, tf2trt::element_count(shape)));
  for (std::size_t i = 0; dtype == tf2trt::DType::kFloat32 && i < tensor.data.size() / sizeof(float); ++i) {
    float const value = static_cast<float>(i % 256) / 256;
    std::memcpy(&tensor.data[i * sizeof value], &value, sizeof value);
  }
  return tensor;
}

template <class T>
void print_values(tf2trt::HostTensor const& tensor) {
  for (std::size_t i = 0; i < std::min<std::size_t>(8, tensor.data.size() / sizeof(T)); ++i) {
    T value{};
    std::memcpy(&value, &tensor.data[i * sizeof value], sizeof value);
    std::cout << ' ' << +value;
  }
}

void print(std::string const& name, tf2trt::HostTensor const& tensor) {
  std::cout << "output " << name << "  " << name_of(tensor.dtype) << "  " << tf2trt::to_string(tensor.shape) << ' ';
  if (tensor.dtype == tf2trt::DType::kFloat32) print_values<float>(tensor);
  if (tensor.dtype == tf2trt::DType::kInt32) print_values<std::int32_t>(tensor);
  if (tensor.dtype == tf2trt::DType::kInt64) print_values<std::int64_t>(tensor);
  if (tensor.dtype == tf2trt::DType::kInt8) print_values<std::int8_t>(tensor);
  if (tensor.dtype == tf2trt::DType::kUint8 || tensor.dtype == tf2trt::DType::kBool) print_values<std::uint8_t>(tensor);
  std::cout << '\n';
}

void run(std::string const& path) {
  auto const engine = tf2trt::Engine::load(path);
  std::map<std::string, tf2trt::HostTensor> inputs;
  for (auto const& tensor : engine.tensors()) {
    if (!tensor.is_input) continue;
    // Where an extent is dynamic, the shape that the engine was tuned for.
    auto const shape = is_dynamic(tensor) ? engine.profile_shape(tensor.name, 0).opt : tensor.shape;
    std::cout << "input  " << tensor.name << "  " << name_of(tensor.dtype) << "  " << tf2trt::to_string(tensor.shape)
              << "  run with " << tf2trt::to_string(shape) << '\n';
    inputs[tensor.name] = make_input(tensor.dtype, shape);
  }
  tf2trt::Session session(engine);  // keeps its memory from call to call: one for all the calls of a thread
  for (auto const& [name, output] : session.run(inputs)) print(name, output);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: cpp_app ENGINE\n";
    return 2;
  }
  std::cout << std::setprecision(9);  // tells every float32 from its neighbours
  try {
    run(argv[1]);
    return 0;
  } catch (std::exception const& error) {  // tf2trt::Error, which also has a kind() to decide by
    std::cerr << "Error: " << error.what() << '\n';
    return 1;
  }
}
