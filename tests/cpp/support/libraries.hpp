// The TensorRT libraries that tests load: fakes, and real ones where they were fetched.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tf2trt::test {

// Copies a fake library (see CMakeLists.txt), such as "full-8600", to a path; gives the path back.
inline std::string put_fake(std::string const& fake, std::string const& path) {
  std::filesystem::copy_file(std::string(TF2TRT_FAKES "/") + fake, path);
  return path;
}

// The path below the folder that a variable names; "" with a reason to skip where the variable is unset, or where
// NVIDIA has no such library for this machine. A set variable promises the path: whoever uses it fails without.
inline std::string real_path(char const* variable, std::string const& below, std::string& reason) {
#if !defined(__x86_64__)
  reason = "the TensorRT libraries for tests are x86-64 only";
  return "";
#endif
  char const* folder = std::getenv(variable);
  if (folder == nullptr || *folder == '\0') {
    reason = std::string(variable) + " is not set";
    return "";
  }
  return std::string(folder) + "/" + below;
}

}  // namespace tf2trt::test

// Declares `path`, or skips the test.
// A macro, because GTEST_SKIP returns from the function that it stands in.
// NOLINTBEGIN(bugprone-macro-parentheses): `path` is a name
#define TF2TRT_REAL_PATH(path, variable, below)                                     \
  std::string path##_reason;                                                        \
  std::string const path = tf2trt::test::real_path(variable, below, path##_reason); \
  if (path.empty()) GTEST_SKIP() << path##_reason;                                  \
  ASSERT_TRUE(std::filesystem::exists(path)) << path << " is missing"
// NOLINTEND(bugprone-macro-parentheses)
