// NVIDIA's own libraries, as far as they go without a GPU.
#include <gtest/gtest.h>

#include "cuda_driver.hpp"
#include "library_state.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "tf2trt/engine.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt {
namespace {

using test::throws;

constexpr char kLibraries[] = "TF2TRT_TEST_LIBRARIES";
constexpr char kSite[] = "TF2TRT_TEST_SITE";

TEST(RealLibrary, Full860) {
  TF2TRT_REAL_PATH(path, kLibraries, "8.6.0/libnvinfer.so.8");
  Library const library = Library::open(path);
  EXPECT_EQ(library.kind(), LibraryKind::kFull);
  EXPECT_EQ(library.version(), (std::array<int, 3>{8, 6, 0}));
  EXPECT_EQ(library.generation(), 8);
  EXPECT_TRUE(library.can_parse());
  EXPECT_NE(library.parser_path().find("libnvonnxparser.so.8"), std::string::npos);
  EXPECT_FALSE(library.builds_without_gpu());
  EXPECT_FALSE(library.strongly_typed());
}

TEST(RealLibrary, Full860MakesNothingWithoutADriver) {
  TF2TRT_REAL_PATH(path, kLibraries, "8.6.0/libnvinfer.so.8");
  if (cuda::available()) GTEST_SKIP() << "there is a GPU here";
  Library const library = Library::open(path);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"IBuilder", cuda::why_not()}, [&] { (void)library.state().make_builder(); }));
  // createInferRuntime of 8.6.0 crashes without a driver, so it must not come to that.
  std::string const plan = "ftrt" + std::string(20, '\0') + std::string("\x08\x06\x00\x0c", 4);
  EXPECT_TRUE(
      throws(ErrorKind::kDevice, {cuda::why_not()}, [&] { Engine::deserialize(library, plan.data(), plan.size()); }));
  EXPECT_EQ(abi::live_objects(), 0);
}

TEST(RealLibrary, Lean10) {
  TF2TRT_REAL_PATH(path, kLibraries, "lean-10.16.1/libnvinfer_lean.so.10");
  Library const library = Library::open(path);
  EXPECT_EQ(library.kind(), LibraryKind::kLean);
  EXPECT_EQ(library.version_text(), "10.16.1");
  EXPECT_EQ(library.generation(), 10);
  EXPECT_FALSE(library.can_build());
  EXPECT_FALSE(library.can_parse());
  EXPECT_TRUE(library.reads({{10, 3, 0, 0}, 0}));
}

TEST(RealLibrary, Lean11) {
  TF2TRT_REAL_PATH(path, kLibraries, "lean-11.4.0/libnvinfer_lean.so.11");
  Library const library = Library::open(path);
  EXPECT_EQ(library.kind(), LibraryKind::kLean);
  EXPECT_EQ(library.version_text(), "11.4.0");
  EXPECT_EQ(library.generation(), 11);
  EXPECT_FALSE(library.can_parse());
}

TEST(RealLibrary, Rtx) {
  TF2TRT_REAL_PATH(folder, kSite, "onnxruntime_ep_nv_tensorrt_rtx");
  Library const library = Library::find({folder}, true);
  EXPECT_EQ(library.kind(), LibraryKind::kRtx);
  EXPECT_EQ(library.version_text(), "1.7.1");
  EXPECT_EQ(library.generation(), 11);
  EXPECT_TRUE(library.can_parse());
  EXPECT_TRUE(library.builds_without_gpu());
  EXPECT_TRUE(library.strongly_typed());
}

// The full 8.6.0 comes first here, and stays first unless the lean runtime is asked for.
TEST(RealLibrary, LeanIsTakenWhereItIsAskedFor) {
  TF2TRT_REAL_PATH(folder, kLibraries, "");
  test::Environment const unset("TF2TRT_NVINFER", nullptr);
  std::vector<std::string> const folders = {folder + "8.6.0", folder + "lean-11.4.0", folder + "lean-10.16.1"};
  EXPECT_EQ(Library::find(folders).version_text(), "8.6.0");
  EXPECT_EQ(Library::find(folders, false, nullptr, LibraryKind::kLean).version_text(), "11.4.0");
  for (auto const& [version, expected] : {std::pair{std::array<int, 4>{10, 3, 0, 0}, "10.16.1"},
                                          {{10, 16, 1, 11}, "10.16.1"},
                                          {{11, 0, 0, 0}, "11.4.0"}}) {
    PlanHeader const plan{version, 0};
    EXPECT_EQ(Library::find(folders, false, &plan, LibraryKind::kLean).version_text(), expected);
  }
  PlanHeader const plan{{8, 6, 0, 0}, 0};
  EXPECT_EQ(Library::find(folders, false, &plan).kind(), LibraryKind::kFull);
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound, {"no lean runtime that can read this plan (version 8.6.0)"},
                     [&] { Library::find(folders, false, &plan, LibraryKind::kLean); }));
}

// Several generations live in one process: TensorFlow may bring one of its own.
TEST(RealLibrary, AllAtOnce) {
  TF2TRT_REAL_PATH(folder, kLibraries, "");
  TF2TRT_REAL_PATH(rtx, kSite, "onnxruntime_ep_nv_tensorrt_rtx");
  std::vector<std::string> found;
  for (auto const& candidate :
       list_libraries({folder + "lean-11.4.0", folder + "lean-10.16.1", folder + "8.6.0", rtx})) {
    EXPECT_EQ(candidate.reason, "") << candidate.path;
    if (candidate.source == "folder") found.push_back(candidate.library->version_text());
  }
  EXPECT_EQ(found, (std::vector<std::string>{"11.4.0", "10.16.1", "8.6.0", "1.7.1"}));
}

}  // namespace
}  // namespace tf2trt
