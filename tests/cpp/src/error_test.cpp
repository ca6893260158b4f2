#include "tf2trt/error.hpp"

#include <gtest/gtest.h>

namespace tf2trt {
namespace {

TEST(Error, MessageLeavesOutWhatIsEmpty) {
  EXPECT_STREQ(Error(ErrorKind::kUsage, "what").what(), "what");
  EXPECT_STREQ(Error(ErrorKind::kUsage, "what", {"this", "", "try that"}).what(),
               "what\n  received: this\n  hint: try that");
  EXPECT_STREQ(Error(ErrorKind::kUsage, "what", {"", "the other", ""}).what(), "what\n  expected: the other");
}

TEST(Error, ClassesAreThoseOfPython) {
  EXPECT_STREQ(error_class(ErrorKind::kUsage), "UsageError");
  EXPECT_STREQ(error_class(ErrorKind::kInput), "InputError");
  EXPECT_STREQ(error_class(ErrorKind::kLibrary), "LibraryError");
  EXPECT_STREQ(error_class(ErrorKind::kLibraryNotFound), "LibraryNotFoundError");
  EXPECT_STREQ(error_class(ErrorKind::kUnsupportedVersion), "UnsupportedVersionError");
  EXPECT_STREQ(error_class(ErrorKind::kDevice), "DeviceError");
  EXPECT_STREQ(error_class(ErrorKind::kOnnx), "OnnxError");
  EXPECT_STREQ(error_class(ErrorKind::kBuild), "BuildError");
  EXPECT_STREQ(error_class(ErrorKind::kEngine), "EngineError");
  EXPECT_STREQ(error_class(ErrorKind::kEngineVersion), "EngineVersionError");
  EXPECT_STREQ(error_class(ErrorKind::kEngineDevice), "EngineDeviceError");
  EXPECT_STREQ(error_class(ErrorKind::kPlugin), "PluginError");
  EXPECT_STREQ(error_class(ErrorKind::kOutput), "OutputError");
}

}  // namespace
}  // namespace tf2trt
