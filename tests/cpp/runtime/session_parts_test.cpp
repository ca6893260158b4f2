// The parts of a session's run, on the fake driver and the fake TensorRT of every generation.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.hpp"
#include "support/fake_gpu.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/session.hpp"

namespace tf2trt {
namespace {

using test::throws;
using Floats = std::vector<float>;

class SessionPartsTest : public test::FakeGpuTest, public testing::WithParamInterface<int> {
 protected:
  static Engine engine(std::string const& text) { return FakeGpuTest::engine(text, GetParam()); }
};

template <class T>
void fill(Session& session, std::size_t tensor, std::vector<T> const& values) {
  std::copy(values.begin(), values.end(), static_cast<T*>(session.host(tensor)));
}

template <class T = float>
std::vector<T> read(Session& session, std::size_t tensor) {
  auto const* data = static_cast<T const*>(session.host(tensor));
  std::size_t const count = session.bytes(tensor) / sizeof(T);
  return {data, data + count};
}

Floats counted(std::size_t count, float first) {
  Floats values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

Floats doubled(Floats values) {
  for (float& value : values) value *= 2;
  return values;
}

// Fills x, launches and waits; what y is then.
Floats run(Session& session, Floats const& x) {
  fill(session, 0, x);
  session.launch();
  session.wait();
  return read(session, 1);
}

TEST_P(SessionPartsTest, ReplaysAGraphFromTheSecondRunOfAShape) {
  Session session(engine("double shared"));
  std::vector<bool> replayed;
  for (std::int64_t const rows : {4, 4, 4, 2, 2, 4}) {
    session.set_shapes({{rows, 2}});
    auto const x = counted(static_cast<std::size_t>(rows) * 2, 0.5F);
    EXPECT_EQ(run(session, x), doubled(x));
    EXPECT_EQ(session.shape(1), (Shape{rows, 2}));
    replayed.push_back(session.replays());
  }
  EXPECT_EQ(replayed, (std::vector<bool>{false, true, true, false, true, false}));
  EXPECT_EQ(fake_cuda_count("h2d_copies"), 6);
  EXPECT_EQ(fake_cuda_count("d2h_copies"), 6);
}

TEST_P(SessionPartsTest, SendsALargeInputAheadOfTheGraph) {
  Session session(engine("wide shared"));
  session.set_shapes({{1, 150'001}});
  auto copies = [before = 0LL]() mutable {
    auto const now = fake_cuda_count("h2d_copies");
    return now - std::exchange(before, now);
  };
  for (float const first : {1.0F, 2.0F, 3.0F}) {
    auto const x = counted(150'001, first);
    session.fill(0, x.data());
    session.launch();
    session.wait();
    EXPECT_EQ(read(session, 1), doubled(x));
    EXPECT_EQ(copies(), 3);  // 600,004 bytes, 262,144 in a piece
  }
  EXPECT_TRUE(session.replays());
  EXPECT_EQ(run(session, counted(150'001, 4)), doubled(counted(150'001, 4)));  // through host()
  EXPECT_EQ(copies(), 1);
  EXPECT_TRUE(session.replays());
}

TEST_P(SessionPartsTest, ALargeInputThatCannotBeSentLeavesNothingBehind) {
  Session session(engine("wide shared"));
  session.set_shapes({{1, 150'001}});
  auto const x = counted(150'001, 1);
  EXPECT_EQ(run(session, x), doubled(x));
  auto const other = counted(150'001, 2);
  fake_cuda_fail("cuMemcpyHtoDAsync_v2", 2, 1);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"cuMemcpyHtoDAsync"}, [&] { session.fill(0, other.data()); }));
  EXPECT_EQ(fake_cuda_count("pending"), 0);
  session.launch();  // what host() holds: the beginning of the other array
  session.wait();
  EXPECT_EQ(read(session, 1).front(), 4);
  session.fill(0, x.data());
  session.set_shapes({{2, 150'001}});  // what was sent was for another shape
  EXPECT_EQ(run(session, counted(300'002, 5)), doubled(counted(300'002, 5)));
}

TEST_P(SessionPartsTest, MappedMemoryNeedsNoCopies) {
  Session session(engine("double shared"), MemoryMode::kMapped);
  EXPECT_TRUE(session.mapped());
  session.set_shapes({{3, 2}});
  for (float const first : {1.0F, 2.0F, 3.0F}) EXPECT_EQ(run(session, counted(6, first)), doubled(counted(6, first)));
  EXPECT_NE(session.host(0), session.device(0));
  EXPECT_EQ(fake_cuda_count("h2d_copies") + fake_cuda_count("d2h_copies"), 0);
}

TEST_P(SessionPartsTest, AnIntegratedGpuIsMappedUnlessToldOtherwise) {
  fake_cuda_set("integrated", 1);
  Engine const shared = engine("double shared");
  EXPECT_TRUE(Session(shared).mapped());
  EXPECT_FALSE(Session(shared, MemoryMode::kCopy).mapped());
}

TEST_P(SessionPartsTest, ReadsAnInputWhereItLiesOnTheDevice) {
  Session first(engine("double shared"));
  Session second(first.engine());
  for (Session* session : {&first, &second}) session->set_shapes({{2, 2}});
  EXPECT_EQ(run(first, {1, 2, 3, 4}), (Floats{2, 4, 6, 8}));
  second.set_device_input(0, first.device(1));
  for (int turn = 0; turn < 3; ++turn) {
    second.launch();
    second.wait();
    EXPECT_EQ(read(second, 1), (Floats{4, 8, 12, 16}));
  }
  EXPECT_TRUE(second.replays());
  second.set_device_input(0, nullptr);
  EXPECT_EQ(run(second, {1, 1, 1, 1}), (Floats{2, 2, 2, 2}));
  int on_the_stack = 0;
  EXPECT_TRUE(throws(ErrorKind::kInput, {"x", "not an address"}, [&] { second.set_device_input(0, &on_the_stack); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"y", "an output"}, [&] { second.set_device_input(1, first.device(1)); }));
}

TEST_P(SessionPartsTest, LeavesOutputsOnTheDeviceWhereAsked) {
  Session session(engine("double shared"));
  session.set_shapes({{2, 2}});
  fill(session, 0, Floats{1, 2, 3, 4});
  for (int turn = 0; turn < 3; ++turn) {
    session.launch(false);
    session.wait();
  }
  EXPECT_EQ(fake_cuda_count("d2h_copies"), 0);
  EXPECT_EQ(run(session, {1, 2, 3, 4}), (Floats{2, 4, 6, 8}));
}

TEST_P(SessionPartsTest, SaysWhenItIsDone) {
  Session session(engine("double shared"));
  EXPECT_TRUE(session.done());
  session.set_shapes({{1, 2}});
  fill(session, 0, Floats{1, 2});
  session.launch();
  EXPECT_FALSE(session.done());
  while (!session.done()) {
  }
  session.wait();
  EXPECT_EQ(read(session, 1), (Floats{2, 4}));
}

TEST_P(SessionPartsTest, FindsSizesThatDependOnTheData) {
  for (auto const memory : {MemoryMode::kCopy, MemoryMode::kMapped}) {
    Session session(engine("nonzero"), memory);
    session.set_shapes({{4}});
    for (auto const& [x, places] : std::vector<std::pair<Floats, std::vector<std::int32_t>>>{
             {{0, 1, 0, 1}, {1, 3}}, {{1, 1, 1, 1}, {0, 1, 2, 3}}, {{0, 0, 0, 0}, {}}, {{1, 0, 0, 0}, {0}}}) {
      fill(session, 0, x);
      session.launch();
      session.wait();
      EXPECT_TRUE(session.data_dependent(1));
      EXPECT_EQ(session.shape(1), (Shape{1, static_cast<std::int64_t>(places.size())}));
      EXPECT_EQ(read<std::int32_t>(session, 1), places);
    }
    EXPECT_FALSE(session.replays());
  }
}

TEST_P(SessionPartsTest, FollowsValuesThatDecideShapes) {
  Session session(engine("reshape"));
  session.set_shapes({{6}, {2}});
  fill(session, 0, counted(6, 0));
  for (auto const& values : std::vector<std::vector<std::int32_t>>{{2, 3}, {2, 3}, {2, 3}, {3, 2}, {6, 1}}) {
    fill(session, 1, values);
    session.launch();
    session.wait();
    EXPECT_EQ(session.shape(2), (Shape{values[0], values[1]}));
    EXPECT_EQ(read(session, 2), counted(6, 0));
  }
  EXPECT_EQ(session.device(1), nullptr);
}

TEST_P(SessionPartsTest, ABatchOfNothingRunsNothing) {
  Session session(engine("double shared"));
  auto const before = fake_cuda_count("kernels");
  session.set_shapes({{0, 2}});
  session.launch();
  session.wait();
  EXPECT_EQ(session.shape(1), (Shape{0, 2}));
  EXPECT_EQ(fake_cuda_count("kernels"), before);
  session.set_shapes({{1, 2}});
  EXPECT_EQ(run(session, {1, 2}), (Floats{2, 4}));
}

TEST_P(SessionPartsTest, RefusesWhatDoesNotFitAndGoesOn) {
  Session session(engine("double shared"));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"before its shapes"}, [&] { session.launch(); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"wrong shape", "2x3"}, [&] { session.set_shapes({{2, 3}}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"17x2", "1x2 to 4x2 or 1x2 to 16x2"}, [&] { session.set_shapes({{17, 2}}); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {"not as many"}, [&] { session.set_shapes({}); }));
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"nothing to time"}, [&] { (void)session.time_launches(1); }));
  session.set_shapes({{2, 2}});
  EXPECT_EQ(run(session, {1, 2, 3, 4}), (Floats{2, 4, 6, 8}));
  EXPECT_EQ(session.time_launches(3).size(), 3U);
  EXPECT_EQ(session.profile_layers().size(), 2U);
}

TEST_P(SessionPartsTest, RunsWithoutAGraphWhereNoneCanBeCaptured) {
  Session session(engine("nocapture"));
  session.set_shapes({{2, 2}});
  for (int turn = 0; turn < 3; ++turn) EXPECT_EQ(run(session, {1, 2, 3, 4}), (Floats{2, 4, 6, 8}));
  EXPECT_FALSE(session.graph_problem().empty());
}

TEST_P(SessionPartsTest, AFailedRunLeavesNothingInFlight) {
  Session session(engine("broken"));
  session.set_shapes({{2, 2}});
  fill(session, 0, Floats{1, 2, 3, 4});
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_TRUE(throws(ErrorKind::kEngine, {"could not be run"}, [&] { session.launch(); }));
    EXPECT_TRUE(session.done());
    EXPECT_EQ(fake_cuda_count("pending"), 0);
  }
}

TEST_P(SessionPartsTest, MemoryOutlivesTheSessionThatSharedIt) {
  std::shared_ptr<void> host;
  std::shared_ptr<void> device;
  {
    Session session(engine("double shared"));
    session.set_shapes({{1, 2}});
    EXPECT_EQ(run(session, {3, 4}), (Floats{6, 8}));
    host = session.share_host(1);
    device = session.share_device(1);
  }
  EXPECT_EQ(static_cast<float const*>(host.get())[1], 8);
  EXPECT_NE(device, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Generations, SessionPartsTest, testing::Values(8600, 101601, 110400));

// TensorRT 8 without profile sharing: each of the engine's two profiles serves one context.
class SessionProfilesTest : public test::FakeGpuTest {};

TEST_F(SessionProfilesTest, AThirdContextFindsNoProfile) {
  Engine const shared = engine("double");
  Session first(shared);
  Session second(shared);
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"another execution context", "8.6"}, [&] { Session const third(shared); }));
  second.set_shapes({{16, 2}});
  EXPECT_EQ(run(second, counted(32, 1)), doubled(counted(32, 1)));
  first.set_shapes({{4, 2}});
  EXPECT_EQ(run(first, counted(8, 1)), doubled(counted(8, 1)));
}

}  // namespace
}  // namespace tf2trt
