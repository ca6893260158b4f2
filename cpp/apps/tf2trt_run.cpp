// tf2trt-run: loads an engine, runs it on .npy files, writes its outputs as .npy files and prints timings.
// A model for programs of your own: it uses nothing but the public headers.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "npy.hpp"
#include "tf2trt/engine.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/session.hpp"

namespace {

constexpr char const* kUsage =
    "usage: tf2trt-run ENGINE [NAME=INPUT.npy ...] [--output DIR] [--iterations N]\n"
    "                  [--plugin-library FILE ...] [--lean] [--memory auto|copy|mapped]\n"
    "\n"
    "Without inputs, prints what the engine takes and gives. TF2TRT_NVINFER names the TensorRT library to use;\n"
    "with --lean it is the lean runtime, for version-compatible engines.\n";

struct Arguments {
  std::string engine;
  std::map<std::string, std::string> inputs;
  std::string output;
  int iterations = 1;
  std::vector<std::string> plugin_libraries;
  std::optional<tf2trt::LibraryKind> kind;
  tf2trt::MemoryMode memory = tf2trt::MemoryMode::kAuto;
};

[[noreturn]] void usage_error(std::string const& what) {
  throw tf2trt::Error(tf2trt::ErrorKind::kUsage, what + "\n" + kUsage);
}

tf2trt::MemoryMode memory_mode(std::string const& name) {
  if (name == "auto") return tf2trt::MemoryMode::kAuto;
  if (name == "copy") return tf2trt::MemoryMode::kCopy;
  if (name == "mapped") return tf2trt::MemoryMode::kMapped;
  usage_error("--memory: " + name + " is none of auto, copy, mapped");
}

Arguments parse(std::vector<std::string> const& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string const& word = words[i];
    auto const value = [&]() -> std::string const& {
      if (i + 1 == words.size()) usage_error(word + ": needs a value");
      return words[++i];
    };
    if (word == "--output") {
      arguments.output = value();
    } else if (word == "--lean") {
      arguments.kind = tf2trt::LibraryKind::kLean;
    } else if (word == "--memory") {
      arguments.memory = memory_mode(value());
    } else if (word == "--plugin-library") {
      arguments.plugin_libraries.push_back(value());
    } else if (word == "--iterations") {
      std::string const& text = value();
      char const* const last = text.data() + text.size();
      auto const [end, error] = std::from_chars(text.data(), last, arguments.iterations);
      if (error != std::errc{} || end != last || arguments.iterations < 1)
        usage_error("--iterations: needs a number of at least 1");
    } else if (word.rfind("--", 0) == 0) {
      usage_error(word + ": no such option");
    } else if (arguments.engine.empty()) {
      arguments.engine = word;
    } else if (auto const equals = word.find('='); equals != std::string::npos) {
      arguments.inputs[word.substr(0, equals)] = word.substr(equals + 1);
    } else {
      usage_error(word + ": expected NAME=INPUT.npy");
    }
  }
  if (arguments.engine.empty()) usage_error("no engine was given");
  return arguments;
}

void describe(tf2trt::Engine const& engine) {
  for (auto const& tensor : engine.tensors()) {
    std::cout << (tensor.is_input ? "input  " : "output ") << tensor.name << "  " << name_of(tensor.dtype) << "  "
              << tf2trt::to_string(tensor.shape) << '\n';
  }
}

double quantile(std::vector<double> sorted, double share) {
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

void run(Arguments const& arguments, tf2trt::Engine const& engine) {
  std::map<std::string, tf2trt::HostTensor> inputs;
  for (auto const& [name, path] : arguments.inputs) inputs[name] = tf2trt::npy::read(path);
  tf2trt::Session session(engine, arguments.memory);
  std::map<std::string, tf2trt::HostTensor> outputs;
  std::vector<double> host;
  for (int i = 0; i < arguments.iterations; ++i) {
    auto const start = std::chrono::steady_clock::now();
    outputs = session.run(inputs);
    host.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  auto const times = session.time_launches(arguments.iterations);
  std::vector<double> const gpu(times.begin(), times.end());
  for (auto const& [name, tensor] : outputs) {
    std::cout << name << "  " << name_of(tensor.dtype) << "  " << tf2trt::to_string(tensor.shape) << '\n';
    if (!arguments.output.empty()) tf2trt::npy::write(arguments.output + "/" + name + ".npy", tensor);
  }
  std::printf("host to host: p50 %.3f ms, p99 %.3f ms; GPU only: p50 %.3f ms (%d runs)\n", quantile(host, 0.5),
              quantile(host, 0.99), quantile(gpu, 0.5), arguments.iterations);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<std::string> const words(argv + 1, argv + argc);
    if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
      std::cout << kUsage;
      return 0;
    }
    Arguments const arguments = parse(words);
    auto const engine = tf2trt::Engine::load(arguments.engine, {}, arguments.plugin_libraries, arguments.kind);
    if (arguments.inputs.empty()) {
      describe(engine);
    } else {
      run(arguments, engine);
    }
    return 0;
  } catch (tf2trt::Error const& error) {
    std::cerr << "Error: " << error.what() << '\n';
    bool const usage = error.kind() == tf2trt::ErrorKind::kUsage || error.kind() == tf2trt::ErrorKind::kInput;
    return usage ? 2 : 1;
  } catch (std::exception const& error) {
    std::cerr << "Error: " << error.what() << '\n';
    return 1;
  }
}
