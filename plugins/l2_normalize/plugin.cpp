// L2Normalize for TensorRT.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "l2_normalize/kernel.hpp"
#include "sdk/operator.hpp"

namespace tf2trt::plugins {
namespace {

class L2Normalize final : public OperatorOf<L2Normalize> {
 public:
  static constexpr char const* kName = "L2Normalize";
  static constexpr char const* kVersion = "1";
  static constexpr char const* kNamespace = "tf2trt";

  [[nodiscard]] Attributes attributes() override {
    return {{"axes", &axes_}, {"epsilon", &epsilon_}, {"lp_normalization", &lp_normalization_}};
  }

  void check() const override {
    if (axes_.empty()) throw std::invalid_argument("axes: expected one or more");
    for (auto const axis : axes_) {
      if (axis < -abi::kMaxDims || axis >= abi::kMaxDims) {
        throw std::invalid_argument("axes: received " + std::to_string(axis) + ", expected -8 to 7");
      }
    }
    if (!(epsilon_ >= 0)) throw std::invalid_argument("epsilon: expected a number that is not negative");
    if (lp_normalization_ != 0 && lp_normalization_ != 1) {
      throw std::invalid_argument("lp_normalization: received " + std::to_string(lp_normalization_) +
                                  ", expected 0 or 1");
    }
  }

  [[nodiscard]] SymbolicShape output_shape(int /*output*/, std::vector<SymbolicShape> const& inputs) const override {
    static_cast<void>(
        mask(static_cast<int>(inputs.front().size())));  // a wrong axis fails the build, not the first run
    return inputs.front();
  }

  [[nodiscard]] bool supports(int position, std::vector<Tensor> const& tensors) const override {
    Tensor const& tensor = tensors[static_cast<std::size_t>(position)];
    if (tensor.format != Format::kLinear) return false;
    bool const is_float = tensor.type == DataType::kFloat32 || tensor.type == DataType::kFloat16;
    if (position == 0) return is_float || tensor.type == DataType::kBfloat16 || tensor.type == DataType::kInt8;
    return tensor.type == tensors[0].type || (tensors[0].type == DataType::kInt8 && is_float);
  }

  [[nodiscard]] std::size_t workspace(std::vector<Tensor> const& /*tensors*/) const override {
    return kL2WorkspaceBytes;
  }

  int enqueue(Tensor const* tensors, void const* const* inputs, void* const* outputs, void* workspace,
              void* stream) const override {
    Tensor const& x = tensors[0];
    Tensor const& y = tensors[1];
    L2Normalization const how{x.type, y.type, x.scale, y.scale, epsilon_, lp_normalization_ != 0};
    return l2_normalize(inputs[0], outputs[0], how, x.dims.data(), x.rank, mask(x.rank), workspace,
                        static_cast<cudaStream_t>(stream));
  }

 private:
  [[nodiscard]] std::uint32_t mask(int rank) const {
    std::uint32_t bits = 0;
    for (auto const axis : axes_) {
      if (axis < -rank || axis >= rank) {
        throw std::invalid_argument("axes: received " + std::to_string(axis) + " for a tensor of rank " +
                                    std::to_string(rank));
      }
      bits |= 1U << static_cast<unsigned>(axis < 0 ? axis + rank : axis);
    }
    return bits;
  }

  std::vector<std::int32_t> axes_{-1};
  float epsilon_ = 1e-12F;  // TensorFlow's default
  std::int32_t lp_normalization_ = 0;
};

}  // namespace

TF2TRT_OPERATOR(L2Normalize)

}  // namespace tf2trt::plugins
