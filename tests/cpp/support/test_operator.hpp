// An operator with everything that an operator may have: two inputs, two outputs, attributes of every type, formulas
// for its shapes. It notes what reaches it and throws where a test wants it to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sdk/operator.hpp"

namespace tf2trt::test {

class TestOperator final : public plugins::OperatorOf<TestOperator> {
 public:
  static constexpr char const* kName = "TestOperator";
  static constexpr char const* kVersion = "7";
  static constexpr char const* kNamespace = "tests";
  static constexpr std::size_t kWorkspace = 12345;

  // What the tests say, and what they are told.
  struct Notes {
    int live = 0;             // instances
    std::string throws_in;    // the function that is to throw
    bool throws_odd = false;  // something that is no std::exception
    int status = 0;           // what enqueue answers
    int index = -1;           // of the output or the tensor that was last asked for
    std::vector<plugins::DataType> types;
    std::vector<plugins::Tensor> tensors;
    std::vector<void const*> inputs;
    std::vector<void*> outputs;
    void* workspace = nullptr;
    void* stream = nullptr;
  };
  static Notes& notes() {
    static Notes all;
    return all;
  }

  TestOperator() { ++notes().live; }
  TestOperator(TestOperator const& other)
      : OperatorOf(other),
        count_(other.count_),
        factor_(other.factor_),
        sizes_(other.sizes_),
        weights_(other.weights_),
        mode_(other.mode_) {
    may_throw("clone");
    ++notes().live;
  }
  TestOperator& operator=(TestOperator const&) = delete;
  ~TestOperator() override { --notes().live; }

  [[nodiscard]] plugins::Attributes attributes() override {
    may_throw("attributes");
    return {{"count", &count_}, {"factor", &factor_}, {"sizes", &sizes_}, {"weights", &weights_}, {"mode", &mode_}};
  }
  void check() const override {
    if (count_ < 0) throw std::invalid_argument("count: expected 0 or more");
  }
  [[nodiscard]] int inputs() const noexcept override { return 2; }
  [[nodiscard]] int outputs() const noexcept override { return 2; }

  // Output 0: (a0 + b0, a1 * count); output 1: every other operation, a constant, and an extent as it came.
  [[nodiscard]] plugins::SymbolicShape output_shape(int output,
                                                    std::vector<plugins::SymbolicShape> const& in) const override {
    may_throw("output_shape");
    notes().index = output;
    auto const& a = in.at(0);
    auto const& b = in.at(1);
    if (output == 0) return {a[0] + b[0], a[1] * a[1].constant(count_)};
    return {a[0] - b[0], a[0] / b[0], ceil_div(a[0], b[0]), max(a[0], b[0]), min(a[0], b[0]), a[0].constant(6), b[1]};
  }
  [[nodiscard]] plugins::DataType output_type(int output, std::vector<plugins::DataType> const& types) const override {
    may_throw("output_type");
    notes().types = types;
    return types.at(static_cast<std::size_t>(output));
  }
  [[nodiscard]] bool supports(int position, std::vector<plugins::Tensor> const& tensors) const override {
    may_throw("supports");
    notes().index = position;
    notes().tensors = tensors;
    return tensors.back().type == tensors.front().type;
  }
  [[nodiscard]] std::size_t workspace(std::vector<plugins::Tensor> const& tensors) const override {
    may_throw("workspace");
    notes().tensors = tensors;
    return kWorkspace;
  }
  int enqueue(plugins::Tensor const* tensors, void const* const* in, void* const* out, void* workspace,
              void* stream) const override {
    may_throw("enqueue");
    notes().tensors.assign(tensors, tensors + 4);
    notes().inputs.assign(in, in + 2);
    notes().outputs.assign(out, out + 2);
    notes().workspace = workspace;
    notes().stream = stream;
    return notes().status;
  }

 private:
  static void may_throw(char const* where) {
    if (notes().throws_in != where) return;
    if (notes().throws_odd) throw 5;  // NOLINT(*-exception-baseclass): on purpose
    throw std::runtime_error(std::string("thrown in ") + where);
  }

  std::int32_t count_ = 3;
  float factor_ = 0.5F;
  std::vector<std::int32_t> sizes_{1, 2};
  std::vector<float> weights_;
  std::string mode_ = "plain";
};

inline std::unique_ptr<plugins::Operator> make_test_operator() { return std::make_unique<TestOperator>(); }

}  // namespace tf2trt::test
