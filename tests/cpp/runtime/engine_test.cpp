// Engines and their contexts, on the fake driver and the fake TensorRT of every generation.
#include "tf2trt/engine.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/fake_gpu.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {
namespace {

using test::fake_plan;
using test::throws;

class FakeEngineTest : public test::FakeGpuTest, public testing::WithParamInterface<int> {
 protected:
  static Engine engine(std::string const& text) { return FakeGpuTest::engine(text, GetParam()); }
};

// Memory for x and y of the engine `double`, told to a context.
struct Doubling {
  Doubling(ExecutionContext& context, std::size_t batch) : count(batch * 2), bytes(count * sizeof(float)) {
    context.set_input_shape("x", {static_cast<std::int64_t>(batch), 2});
    context.set_tensor_address("x", x.data());
    context.set_tensor_address("y", y.data());
  }
  void upload(float value, Stream const& stream) const {
    auto* values = static_cast<float*>(host.data());
    for (std::size_t i = 0; i < count; ++i) values[i] = value + static_cast<float>(i);
    copy_to_device(x, host, bytes, stream.handle());
  }
  [[nodiscard]] std::vector<float> download(Stream const& stream) const {
    copy_to_host(host, y, bytes, stream.handle());
    stream.synchronize();
    auto const* values = static_cast<float const*>(host.data());
    return {values, values + count};
  }

  std::size_t count;
  std::size_t bytes;
  PinnedBuffer host{128};
  DeviceBuffer x{128};
  DeviceBuffer y{128};
};

TEST_P(FakeEngineTest, SaysWhatItIs) {
  Engine const doubling = engine("double");
  EXPECT_EQ(doubling.name(), "double");
  EXPECT_EQ(doubling.layer_count(), 2);
  EXPECT_EQ(doubling.profile_count(), 2);
  EXPECT_EQ(doubling.device_memory_size(), 4096U);
  ASSERT_EQ(doubling.tensors().size(), 2U);
  EXPECT_EQ(doubling.tensors()[0].name, "x");
  EXPECT_TRUE(doubling.tensors()[0].is_input);
  EXPECT_EQ(doubling.tensors()[0].shape, (Shape{-1, 2}));
  EXPECT_FALSE(doubling.tensors()[1].is_input);
  EXPECT_EQ(doubling.profile_shape("x", 1).max, (Shape{16, 2}));
  EXPECT_EQ(doubling.profile_shape("x", 0).opt, (Shape{4, 2}));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"y", "x"}, [&] { (void)doubling.profile_shape("y", 0); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"0 to 1"}, [&] { (void)doubling.profile_shape("x", 2); }));
}

TEST_P(FakeEngineTest, HasTypesAndShapeTensors) {
  Engine const adding = engine("static");
  ASSERT_EQ(adding.tensors().size(), 4U);
  EXPECT_EQ(adding.tensors()[1].dtype, DType::kInt32);
  EXPECT_EQ(adding.tensors()[2].dtype, DType::kFloat32);
  Engine const reshaping = engine("reshape");
  EXPECT_FALSE(reshaping.tensors()[0].is_shape);
  EXPECT_TRUE(reshaping.tensors()[1].is_shape);
}

TEST_P(FakeEngineTest, IsInspected) { EXPECT_EQ(engine("static").information(), "{}"); }

TEST_P(FakeEngineTest, OtherPlansAreRefused) {
  Library const from = library(GetParam());
  auto const version = from.version();
  std::string const unknown = fake_plan("nonsense", version[0], version[1], version[2]);
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"Engine deserialization failed"},
                     [&] { Engine::deserialize(from, unknown.data(), unknown.size()); }));
  std::string const newer = fake_plan("double", version[0], version[1] + 1, 0);
  EXPECT_TRUE(throws(ErrorKind::kEngineVersion, {"Version tag"},
                     [&] { Engine::deserialize(from, newer.data(), newer.size()); }));
  std::string const whole = fake_plan("double", version[0], version[1], version[2]);
  EXPECT_TRUE(
      throws(ErrorKind::kEngine, {"truncated"}, [&] { Engine::deserialize(from, whole.data(), whole.size() - 1); }));
}

TEST_P(FakeEngineTest, ShapesFollowTheInputs) {
  ExecutionContext context = engine("double").create_context();  // which keeps the engine
  EXPECT_EQ(context.unresolved_inputs(), std::vector<std::string>{"x"});
  EXPECT_EQ(context.tensor_shape("y"), (Shape{-1, 2}));
  context.set_input_shape("x", {3, 2});
  EXPECT_TRUE(context.unresolved_inputs().empty());
  EXPECT_EQ(context.tensor_shape("y"), (Shape{3, 2}));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"5x2", "profile 0"}, [&] { context.set_input_shape("x", {5, 2}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"wrong number of dim"}, [&] { context.set_input_shape("x", {5}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"no input"}, [&] { context.set_input_shape("y", {3, 2}); }));
  Stream const stream;
  context.set_profile(1, stream.handle());
  context.set_input_shape("x", {5, 2});
  EXPECT_EQ(context.tensor_shape("y"), (Shape{5, 2}));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"profile 2"}, [&] { context.set_profile(2, stream.handle()); }));
  stream.synchronize();
}

TEST_P(FakeEngineTest, Runs) {
  ExecutionContext context = engine("double").create_context();
  Stream const stream;
  Doubling const memory(context, 2);
  memory.upload(1, stream);
  context.enqueue(stream.handle());
  EXPECT_EQ(memory.download(stream), (std::vector<float>{2, 4, 6, 8}));
  EXPECT_EQ(fake_cuda_count("kernels"), 1);
}

TEST_P(FakeEngineTest, IsReplayedAsAGraph) {
  ExecutionContext context = engine("double").create_context();
  Stream const stream;
  Doubling const memory(context, 1);
  memory.upload(0, stream);
  context.enqueue(stream.handle());
  stream.synchronize();
  Graph const graph = context.capture(stream.handle());
  EXPECT_EQ(fake_cuda_count("kernels"), 1);
  for (float const value : {3.0F, 5.0F}) {
    memory.upload(value, stream);
    graph.launch(stream.handle());
    EXPECT_EQ(memory.download(stream), (std::vector<float>{2 * value, 2 * value + 2}));
  }
  EXPECT_EQ(fake_cuda_count("graph_launches"), 2);
  EXPECT_EQ(fake_cuda_count("graphs"), 0);
}

TEST_P(FakeEngineTest, AFailedCaptureLeavesTheStreamUsable) {
  ExecutionContext context = engine("nocapture").create_context();
  Stream const stream;
  Doubling const memory(context, 1);
  EXPECT_TRUE(
      throws(ErrorKind::kEngine, {"when stream is capturing"}, [&] { (void)context.capture(stream.handle()); }));
  memory.upload(4, stream);
  context.enqueue(stream.handle());
  EXPECT_EQ(memory.download(stream), (std::vector<float>{8, 10}));
  for (char const* function : {"cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"}) {
    ExecutionContext other = engine("double").create_context();
    Doubling const its(other, 1);
    fake_cuda_fail(function, 1, 900);
    EXPECT_TRUE(throws(ErrorKind::kDevice, {"CAPTURE_UNSUPPORTED"}, [&] { (void)other.capture(stream.handle()); }));
  }
}

TEST_P(FakeEngineTest, SaysWhyItCannotRun) {
  Stream const stream;
  ExecutionContext broken = engine("broken").create_context();
  Doubling const memory(broken, 1);
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"this engine is broken"}, [&] { broken.enqueue(stream.handle()); }));
  ExecutionContext context = engine("double").create_context();
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"x", "missing"}, [&] { context.enqueue(stream.handle()); }));
  context.set_input_shape("x", {1, 2});
  context.set_tensor_address("x", memory.x.data());
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"not set for y"}, [&] { context.enqueue(stream.handle()); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"no tensor"}, [&] { context.set_tensor_address("q", memory.x.data()); }));
}

TEST_P(FakeEngineTest, HostMemoryIsNoDeviceMemory) {
  Stream const stream;
  ExecutionContext context = engine("double").create_context();
  Doubling const memory(context, 1);
  context.set_tensor_address("y", memory.host.data());
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"was refused"}, [&] { context.enqueue(stream.handle()); }));
  EXPECT_NE(violation().find("never allocated on the device"), std::string::npos);
}

TEST_P(FakeEngineTest, NeedsMemoryForItsContexts) {
  Engine const big = engine("big");
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"1048576.0 MiB", "MiB free"}, [&] { (void)big.create_context(); }));
  EXPECT_EQ(fake_cuda_count("device_bytes"), 0);
}

TEST_P(FakeEngineTest, LayersAreTimed) {
  ExecutionContext context = engine("double").create_context();
  Stream const stream;
  Doubling const memory(context, 1);
  memory.upload(0, stream);
  auto const layers = context.profile_layers(stream.handle());
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].first, "first");
  EXPECT_EQ(layers[1].second, 0.5F);
}

TEST_P(FakeEngineTest, ASecondContextOfGeneration8HasNoProfile) {
  Engine const doubling = engine("double");
  ExecutionContext const first = doubling.create_context();
  ExecutionContext second = doubling.create_context();
  Stream const stream;
  if (GetParam() < 10000) {
    EXPECT_TRUE(throws(ErrorKind::kInput, {"no optimization profile"}, [&] { second.set_input_shape("x", {1, 2}); }));
    EXPECT_TRUE(throws(ErrorKind::kInput, {"another IExecution"}, [&] { second.set_profile(0, stream.handle()); }));
    second.set_profile(1, stream.handle());
  }
  second.set_input_shape("x", {1, 2});
  ExecutionContext shared = engine("double shared").create_context();
  shared.set_input_shape("x", {1, 2});
  stream.synchronize();
}

TEST_P(FakeEngineTest, TakesShapeTensorsFromTheHost) {
  ExecutionContext context = engine("reshape").create_context();
  DeviceBuffer const x(24);
  DeviceBuffer const y(24);
  Stream const stream;
  context.set_input_shape("x", {6});
  EXPECT_EQ(context.unresolved_inputs(), std::vector<std::string>{"s"});
  EXPECT_EQ(context.tensor_shape("y"), (Shape{-1, -1}));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"on the host"}, [&] { context.set_tensor_address("s", x.data()); }));
  std::array<std::int32_t, 2> values{2, 3};
  context.set_tensor_address("s", values.data());
  EXPECT_EQ(context.tensor_shape("y"), (Shape{2, 3}));
  context.set_tensor_address("x", x.data());
  context.set_tensor_address("y", y.data());
  context.enqueue(stream.handle());
  values = {4, 3};
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"volume"}, [&] { context.enqueue(stream.handle()); }));
  stream.synchronize();
}

TEST_P(FakeEngineTest, ASizeThatDependsOnTheDataNeedsAnAllocator) {
  ExecutionContext context = engine("nonzero").create_context();
  DeviceBuffer const x(16);
  DeviceBuffer const y(16);
  Stream const stream;
  EXPECT_EQ(context.tensor_shape("y"), (Shape{1, -1}));
  context.set_tensor_address("x", x.data());
  context.set_tensor_address("y", y.data());
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"IOutputAllocator"}, [&] { context.enqueue(stream.handle()); }));
}

INSTANTIATE_TEST_SUITE_P(Generations, FakeEngineTest, testing::Values(8600, 101601, 110400),
                         [](auto const& each) { return std::to_string(each.param); });

}  // namespace
}  // namespace tf2trt
