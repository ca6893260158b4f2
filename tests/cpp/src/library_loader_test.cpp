// The loader's own search, by bare name. This program's run path leads to a libnvinfer.so.11 that can be used and a
// libnvinfer.so.10 whose own needs are not met; see CMakeLists.txt.
#include <gtest/gtest.h>

#include "support/files.hpp"
#include "support/libraries.hpp"
#include "tf2trt/library.hpp"

namespace tf2trt {
namespace {

class LoaderTest : public testing::Test {
 protected:
  test::Environment unset_{"TF2TRT_NVINFER", nullptr};
};

TEST_F(LoaderTest, AFoundLibraryHasItsWholePath) {
  Library const library = Library::find();
  EXPECT_EQ(library.version_text(), "11.4.0");
  EXPECT_NE(library.path().find("/loader/libnvinfer.so.11"), std::string::npos) << library.path();
}

TEST_F(LoaderTest, FoldersComeFirst) {
  test::TempFolder const folder;
  test::put_fake("full-8600", folder / "libnvinfer.so.8");
  EXPECT_EQ(Library::find({folder.path()}).version_text(), "8.6.0");
  auto const found = list_libraries({folder.path()});
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found[0].source, "folder");
  EXPECT_EQ(found[1].source, "loader");
}

TEST_F(LoaderTest, TheVariableMayBeABareName) {
  test::Environment const variable("TF2TRT_NVINFER", "libnvinfer.so.11");
  EXPECT_EQ(Library::find().version_text(), "11.4.0");
}

TEST_F(LoaderTest, ALibraryWhoseNeedsAreNotMetIsListedWithTheReason) {
  for (auto const& candidate : list_libraries()) {
    if (candidate.path != "libnvinfer.so.10") continue;
    EXPECT_EQ(candidate.library, nullptr);
    EXPECT_NE(candidate.reason.find("libtf2trt-not-to-be-found.so"), std::string::npos) << candidate.reason;
    return;
  }
  ADD_FAILURE() << "libnvinfer.so.10 is not in the list";
}

TEST_F(LoaderTest, NamesThatTheLoaderDoesNotKnowAreNotListed) {
  for (auto const& candidate : list_libraries()) EXPECT_NE(candidate.path, "libnvinfer_lean.so.8");
}

}  // namespace
}  // namespace tf2trt
