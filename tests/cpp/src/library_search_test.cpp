// What is found in which order. The variable TF2TRT_NVINFER shuts out what the machine itself has.
#include <gtest/gtest.h>

#include "cuda_driver.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt {
namespace {

using test::Environment;
using test::put_fake;
using test::throws;

constexpr char kVariable[] = "TF2TRT_NVINFER";

class SearchTest : public testing::Test {
 protected:
  static std::vector<std::string> versions(std::vector<Candidate> const& candidates, std::string const& source) {
    std::vector<std::string> found;
    for (auto const& candidate : candidates) {
      if (candidate.source != source) continue;
      found.push_back(candidate.library ? candidate.library->version_text() : "-");
    }
    return found;
  }
  test::TempFolder a_;
  test::TempFolder b_;
  Environment unset_{kVariable, nullptr};
};

using Versions = std::vector<std::string>;

TEST_F(SearchTest, FoldersInTheirOrderAndInEachTheNewestFirst) {
  put_fake("full-8600", a_ / "libnvinfer.so.8");
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  put_fake("lean-110400", a_ / "libnvinfer_lean.so.11");
  put_fake("full-10701", a_ / "libtensorrt_rtx.so.1");
  put_fake("full-110400", b_ / "libnvinfer.so.11");
  EXPECT_EQ(versions(list_libraries({a_.path(), b_.path()}), "folder"),
            (Versions{"10.16.1", "8.6.0", "11.4.0", "1.7.1", "11.4.0"}));
  EXPECT_EQ(Library::find({a_.path(), b_.path()}).version_text(), "10.16.1");
  EXPECT_EQ(Library::find({b_.path(), a_.path()}).version_text(), "11.4.0");
}

TEST_F(SearchTest, OtherFilesInAFolderAreLeftAlone) {
  put_fake("full-8600", a_ / "libnvinfer_plugin.so.8");
  put_fake("full-8600", a_ / "libnvonnxparser.so.8");
  put_fake("full-8600", a_ / "libnvinfer_builder_resource.so.8");
  EXPECT_EQ(versions(list_libraries({a_.path(), "/no/such/folder"}), "folder"), Versions{});
}

TEST_F(SearchTest, LinksToOneFileAreOneCandidate) {
  put_fake("full-10701", a_ / "libtensorrt_rtx.so.1.7.1");
  std::filesystem::create_symlink("libtensorrt_rtx.so.1.7.1", a_ / "libtensorrt_rtx.so.1");
  std::filesystem::create_symlink("libtensorrt_rtx.so.1.7.1", a_ / "libtensorrt_rtx.so");
  EXPECT_EQ(versions(list_libraries({a_.path(), a_.path()}), "folder"), Versions{"1.7.1"});
}

TEST_F(SearchTest, WhatCannotBeUsedStaysInTheListWithItsReason) {
  test::write_file(a_ / "libnvinfer.so.10", "text");
  put_fake("full-7200", a_ / "libnvinfer.so.7");
  put_fake("full-8600", a_ / "libnvinfer.so.8");
  auto const found = list_libraries({a_.path()});
  ASSERT_GE(found.size(), 3U);
  EXPECT_EQ(found[0].path, a_ / "libnvinfer.so.10");
  EXPECT_NE(found[0].reason.find("cannot be loaded"), std::string::npos) << found[0].reason;
  EXPECT_EQ(found[0].library, nullptr);
  EXPECT_EQ(found[1].reason, "");
  EXPECT_EQ(found[1].library->path(), a_ / "libnvinfer.so.8");
  EXPECT_NE(found[2].reason.find("TensorRT 7.2.0 is not supported"), std::string::npos) << found[2].reason;
  EXPECT_EQ(Library::find({a_.path()}).version_text(), "8.6.0");
}

TEST_F(SearchTest, TheVariableMayNameAFile) {
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  std::string const path = put_fake("full-8600", b_ / "mine.so");
  Environment const variable(kVariable, path.c_str());
  auto const found = list_libraries({a_.path()});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].source, kVariable);
  EXPECT_EQ(found[0].path, path);
  EXPECT_EQ(Library::find({a_.path()}).version_text(), "8.6.0");
}

TEST_F(SearchTest, TheVariableMayNameAFolder) {
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  put_fake("full-8600", b_ / "libnvinfer.so.8");
  put_fake("full-110400", b_ / "libnvinfer.so.11");
  Environment const variable(kVariable, b_.path().c_str());
  EXPECT_EQ(versions(list_libraries({a_.path()}), kVariable), (Versions{"11.4.0", "8.6.0"}));
  EXPECT_EQ(Library::find({a_.path()}).version_text(), "11.4.0");
}

TEST_F(SearchTest, AnEmptyVariableCountsAsUnset) {
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  Environment const variable(kVariable, "");
  EXPECT_EQ(Library::find({a_.path()}).version_text(), "10.16.1");
}

TEST_F(SearchTest, AWrongVariableIsNamedAndNothingElseTried) {
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  struct Case {
    std::string path;
    ErrorKind kind;
    char const* words;
  };
  std::vector<Case> const cases = {
      {"/no/such/libnvinfer.so", ErrorKind::kLibraryNotFound, "no such file"},
      {"libno_such.so.1", ErrorKind::kLibraryNotFound, "no TensorRT was found"},
      {test::write_file(b_ / "libnvinfer.so.8", "text"), ErrorKind::kLibrary, "cannot be loaded"},
      {put_fake("full-9300", b_ / "libnvinfer.so.9"), ErrorKind::kUnsupportedVersion, "9.3.0 is not supported"},
  };
  for (Case const& wrong : cases) {
    Environment const variable(kVariable, wrong.path.c_str());
    EXPECT_TRUE(throws(wrong.kind,
                       {wrong.words, std::string(kVariable) + " is set to " + wrong.path, "correct or unset"},
                       [&] { Library::find({a_.path()}); }));
  }
}

TEST_F(SearchTest, AnEmptyFolderInTheVariable) {
  Environment const variable(kVariable, b_.path().c_str());
  EXPECT_TRUE(list_libraries().empty());
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound, {"nothing was found", b_.path()}, [] { Library::find(); }));
}

TEST_F(SearchTest, APlanPicksTheLibraryOfItsVersion) {
  put_fake("full-110400", a_ / "libnvinfer.so.11");
  put_fake("full-100300", a_ / "libnvinfer.so.10");
  put_fake("full-101601", b_ / "libnvinfer.so.10");
  put_fake("lean-8600", b_ / "libnvinfer_lean.so.8");
  auto const version_for = [&](std::array<int, 4> version) {
    PlanHeader const plan{version, 0};
    return Library::find({a_.path(), b_.path()}, false, &plan).version_text();
  };
  EXPECT_EQ(version_for({10, 16, 1, 11}), "10.16.1");
  EXPECT_EQ(version_for({10, 3, 0, 1}), "10.3.0");
  EXPECT_EQ(version_for({11, 4, 0, 1}), "11.4.0");
  EXPECT_EQ(version_for({8, 5, 3, 1}), "8.6.0");
}

TEST_F(SearchTest, NoLibraryForAPlan) {
  put_fake("full-110400", a_ / "libnvinfer.so.11");
  put_fake("lean-101601", a_ / "libnvinfer_lean.so.10");
  Environment const variable(kVariable, a_.path().c_str());
  PlanHeader const plan{{8, 6, 1, 0}, 0};
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound,
                     {"can read this plan (version 8.6.1)", "version 11.4.0 cannot read a plan of 8.6.1",
                      "version 10.16.1 cannot read a plan of 8.6.1"},
                     [&] { Library::find({}, false, &plan); }));
}

TEST_F(SearchTest, BuildersThatCannotBuildHereArePassedOver) {
  put_fake("lean-101601", a_ / "libnvinfer_lean.so.10");
  std::string const without = put_fake("full-110400", a_ / "libnvinfer.so.11");
  test::write_file(a_ / "libnvonnxparser.so.8", "");
  std::string const full = put_fake("full-8600", a_ / "libnvinfer.so.8");
  Environment const variable(kVariable, a_.path().c_str());
  EXPECT_EQ(Library::find({}).path(), without);
  if (cuda::available()) {
    EXPECT_EQ(Library::find({}, true).path(), full);
  } else {
    EXPECT_TRUE(throws(
        ErrorKind::kLibraryNotFound,
        {"can build here", without + ": no ONNX parser beside it", full + ": needs a GPU to build: " + cuda::why_not(),
         "libnvinfer_lean.so.10: a lean runtime, which cannot build"},
        [] { Library::find({}, true); }));
  }
}

TEST_F(SearchTest, RtxBuildsWithoutAGpu) {
  std::string const path = put_fake("full-10701", a_ / "libtensorrt_rtx.so.1");
  test::write_file(a_ / "libtensorrt_onnxparser_rtx.so.1", "");
  Environment const variable(kVariable, a_.path().c_str());
  EXPECT_EQ(Library::find({}, true).path(), path);
}

constexpr auto kLean = LibraryKind::kLean;

TEST_F(SearchTest, TheLeanRuntimeIsTakenWhereItIsAskedFor) {
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  std::string const newer = put_fake("lean-110400", a_ / "libnvinfer_lean.so.11");
  std::string const lean = put_fake("lean-101601", b_ / "libnvinfer_lean.so.10");
  std::vector<std::string> const folders = {a_.path(), b_.path()};
  for (auto const& version : {std::array<int, 4>{10, 16, 1, 0}, {10, 3, 0, 0}}) {
    PlanHeader const plan{version, 0};
    EXPECT_EQ(Library::find(folders, false, &plan, kLean).path(), lean);
  }
  EXPECT_EQ(Library::find(folders, false, nullptr, kLean).path(), newer);
  PlanHeader const plan{{10, 16, 1, 0}, 0};
  EXPECT_EQ(Library::find(folders, false, &plan).kind(), LibraryKind::kFull);
  EXPECT_EQ(Library::find(folders).kind(), LibraryKind::kFull);
}

TEST_F(SearchTest, NoOtherKindIsLoadedOnTheWayToTheOneThatIsAskedFor) {
  test::write_file(a_ / "libnvinfer.so.10", "would be named in the error if it were loaded");
  put_fake("lean-110400", a_ / "libnvinfer_lean.so.11");
  Environment const variable(kVariable, a_.path().c_str());
  PlanHeader const plan{{10, 3, 0, 0}, 0};
  try {
    (void)Library::find({}, false, &plan, kLean);
    FAIL() << "nothing was thrown";
  } catch (Error const& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kLibraryNotFound);
    EXPECT_EQ(std::string(error.what()).find("libnvinfer.so.10"), std::string::npos) << error.what();
  }
}

TEST_F(SearchTest, WithoutALeanRuntimeTheErrorSaysWhatBringsOne) {
  put_fake("full-101601", a_ / "libnvinfer.so.10");
  put_fake("lean-110400", a_ / "libnvinfer_lean.so.11");
  struct Case {
    std::array<int, 4> version;
    std::vector<std::string> words;
  };
  std::vector<Case> const cases = {
      {{10, 3, 0, 0},
       {"no lean runtime that can read this plan (version 10.3.0) was found",
        "libnvinfer_lean.so.11: version 11.4.0 cannot read a plan of 10.3.0",
        "pip install 'tensorrt-lean-cu13-libs==10.*', or -cu12-libs", "tf2trt build --version-compatible"}},
      {{8, 6, 1, 0}, {"'tensorrt-lean==8.*'"}},
      {{1, 7, 1, 0}, {"TensorRT-RTX wrote this plan"}},
  };
  for (auto const& [version, words] : cases) {
    PlanHeader const plan{version, 0};
    EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound, words,
                       [&, &plan = plan] { Library::find({a_.path()}, false, &plan, kLean); }));
  }
}

TEST_F(SearchTest, AFullTensorRtInTheVariableIsNoLeanRuntime) {
  std::string const path = put_fake("full-101601", a_ / "libnvinfer.so.10");
  Environment const variable(kVariable, path.c_str());
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound,
                     {"no lean runtime was found", path + ": no lean runtime", "TF2TRT_NVINFER is set to " + path},
                     [] { Library::find({}, false, nullptr, kLean); }));
}

TEST_F(SearchTest, OtherKindsMayBeAskedForToo) {
  put_fake("full-110400", a_ / "libnvinfer.so.11");
  std::string const rtx = put_fake("full-10701", a_ / "libtensorrt_rtx.so.1");
  EXPECT_EQ(Library::find({a_.path()}, false, nullptr, LibraryKind::kRtx).path(), rtx);
  PlanHeader const plan{{8, 6, 1, 0}, 0};
  Environment const variable(kVariable, a_.path().c_str());
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound, {"no full TensorRT that can read this plan"},
                     [&] { Library::find({}, false, &plan, LibraryKind::kFull); }));
}

}  // namespace
}  // namespace tf2trt
