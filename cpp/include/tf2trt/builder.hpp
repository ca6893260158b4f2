// From an ONNX file to a plan.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tf2trt/calibration.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/logger.hpp"
#include "tf2trt/tensor.hpp"

namespace tf2trt {

// kFp32 turns TF32 off. On TensorRT 8 and 10 the others set builder flags, which allow the type and leave the choice
// per layer to TensorRT. On 11 and TensorRT-RTX the graph's own types decide: the graph has to hold them already.
// INT8 needs scales, those of Q/DQ nodes or of a calibrator; layers without one are built in FP32, with kInt8Fp16 in
// FP16.
enum class Precision { kFp32, kTf32, kFp16, kBf16, kInt8, kInt8Fp16 };

// "fp32", "tf32", "fp16", "bf16", "int8", "int8+fp16".
char const* name_of(Precision precision) noexcept;
// The opposite. Throws Error(kUsage) where there is none of this name.
Precision precision_of(std::string const& name);

// The type of the layers whose names the pattern matches.
struct LayerPrecision {
  std::string pattern;  // with *, ?, [abc] and [!abc]; or a whole name, whatever is in it
  // kFp32, kFp16, kBf16 or kInt8, and one that the network's precision allows.
  Precision precision = Precision::kFp32;
};

using Profile = std::map<std::string, ShapeRange>;

struct BuilderOptions {
  Precision precision = Precision::kFp32;
  std::size_t workspace = 0;              // bytes; 0 leaves TensorRT's own limit, all of the device's memory
  std::vector<Profile> profiles;          // one at least where an input is dynamic or a shape tensor
  std::vector<char> timing_cache;         // as an earlier build returned it; may be empty
  bool version_compatible = false;        // readable by other versions of the same major, and the lean runtime
  std::optional<int> optimization_level;  // 0 to 5; TensorRT 8.6 and later
  // Files of plugin libraries that the network needs; tf2trt's own is found and loaded without being named.
  std::vector<std::string> plugin_libraries;
  // 8 and 10: types that TensorRT must build layers in; it refuses where it has no such implementation. The names are
  // those of the parsed network, which are those of ONNX nodes; of several patterns the last that matches counts.
  // Layers that compute nothing in floating point (shapes, indices, constants, casts, quantize and dequantize) are left
  // alone. A rule for FP32 turns TF32 off for all layers, unless kTf32 is asked for: TensorRT has one flag for it. On
  // 11 and TensorRT-RTX the graph holds the types: a list is refused there.
  std::vector<LayerPrecision> layer_precision;
  std::optional<Calibration> calibration;  // 8 and 10, for kInt8 and kInt8Fp16
};

// Called as the build goes on, where the version reports it (10, 11 and RTX): phase, its parent phase ("" for none),
// steps done and steps in all. False stops the build. Called from TensorRT's threads; what it throws stops the build.
using Progress = std::function<bool(std::string const& phase, std::string const& parent, int step, int steps)>;

// A layer of the parsed network, before TensorRT fuses any. `kind` is "convolution", "deconvolution",
// "fully_connected", "matrix_multiply", "einsum", "rnn", "constant", "shuffle", "identity", "cast", "quantize",
// "dequantize" or "other". Inputs and outputs are names and types; an input that is left out has neither.
struct NetworkLayer {
  std::string name;  // the ONNX node's, as the parser hands it on
  std::string kind;
  std::vector<std::pair<std::string, DType>> inputs;
  std::vector<std::pair<std::string, DType>> outputs;
};

class BuildResult {
 public:
  // The plan, owned by TensorRT's memory.
  [[nodiscard]] void const* data() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;

  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  // How many layers of the parsed network give each type. On 11 and TensorRT-RTX that is what is built; on 8 and 10 the
  // builder chooses, and Engine::information tells what.
  std::map<std::string, int> layer_types;
  std::vector<NetworkLayer> network_layers;  // all of them, in the network's order
  std::vector<char> timing_cache;
  std::vector<std::string> plugin_libraries;  // the files that were loaded for it, tf2trt's own too
  std::vector<LogLine> log;                   // warnings and errors
  double seconds = 0;
  std::vector<char> calibration_cache;                // what a calibrator was given to keep
  std::map<std::string, Precision> layer_precisions;  // the layers that were set, by BuilderOptions::layer_precision

  struct Memory;
  explicit BuildResult(std::shared_ptr<Memory const> memory) : memory_(std::move(memory)) {}

 private:
  std::shared_ptr<Memory const> memory_;
};

// Throws Error: kOnnx (file missing, truncated, an operator TensorRT does not know: with node name and operator),
// kUsage (profiles that do not fit the inputs, options this version lacks or that contradict each other, INT8 without
// scales on 8 and 10, a pattern that no layer matches), kInput (calibration data that do not fit the inputs, or none),
// kPlugin (a plugin library is missing or refused), kBuild (TensorRT refused, with its words), kLibrary, kDevice.
BuildResult build(Library const& library, std::string const& onnx_path, BuilderOptions const& options,
                  Progress const& progress = {});

}  // namespace tf2trt
