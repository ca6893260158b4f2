#include "tf2trt/engine.hpp"

#include <gtest/gtest.h>

#include "cuda_driver.hpp"
#include "support/errors.hpp"
#include "support/rtx.hpp"

namespace tf2trt {
namespace {

using test::throws;

TEST(EngineFile, IsLookedAtBeforeAnyLibraryIsLoaded) {
  test::TempFolder const folder;
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"/no/such/m.engine"}, [] { Engine::load("/no/such/m.engine"); }));
  EXPECT_TRUE(throws(ErrorKind::kEngine, {folder.path()}, [&] { Engine::load(folder.path()); }));
  std::string const empty = test::write_file(folder / "empty", "");
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"too short"}, [&] { Engine::load(empty); }));
  std::string const text = test::write_file(folder / "text", std::string(100, 'x'));
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"not a TensorRT plan"}, [&] { Engine::load(text); }));
}

class EngineTest : public test::RtxTest {};

TEST_F(EngineTest, NeedsADriver) {
  if (cuda::available()) GTEST_SKIP() << "there is a GPU here: tests/gpu runs engines";
  BuildResult const plan = build(library(), small(), usual());
  EXPECT_TRUE(
      throws(ErrorKind::kDevice, {cuda::why_not()}, [&] { Engine::deserialize(library(), plan.data(), plan.size()); }));
  std::string const path =
      test::write_file(files_ / "m.engine", std::string(static_cast<char const*>(plan.data()), plan.size()));
  std::string const folder = std::filesystem::path(library().path()).parent_path().string();
  EXPECT_TRUE(throws(ErrorKind::kDevice, {cuda::why_not()}, [&] { Engine::load(path, {folder}); }));
}

TEST_F(EngineTest, GarbageIsRefusedBeforeTheDriverIsAsked) {
  std::string const text(100, 'x');
  EXPECT_TRUE(throws(ErrorKind::kEngine, {"not a TensorRT plan"},
                     [&] { Engine::deserialize(library(), text.data(), text.size()); }));
}

}  // namespace
}  // namespace tf2trt
