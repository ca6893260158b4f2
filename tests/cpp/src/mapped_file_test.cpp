#include "mapped_file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "tf2trt/engine.hpp"

namespace tf2trt {
namespace {

using test::throws;

std::string_view bytes_of(MappedFile const& file) { return {static_cast<char const*>(file.data()), file.size()}; }

// Whether this process has a file mapped.
bool is_mapped(std::string const& path) { return test::read_file("/proc/self/maps").find(path) != std::string::npos; }

class MappedFileTest : public testing::Test {
 protected:
  test::TempFolder folder_;
};

TEST_F(MappedFileTest, HoldsTheBytesAsLongAsItLives) {
  std::string bytes(100'001, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i % 251);
  std::string const path = test::write_file(folder_ / "plan", bytes);
  {
    MappedFile const file(path);
    EXPECT_EQ(bytes_of(file), bytes);
    EXPECT_TRUE(is_mapped(path));
  }
  EXPECT_FALSE(is_mapped(path));
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  MappedFile const file(test::write_file(folder_ / "empty", ""));
  EXPECT_EQ(file.data(), nullptr);
  EXPECT_EQ(file.size(), 0U);
}

TEST_F(MappedFileTest, AFileThatIsReplacedMeanwhileStaysAsItWas) {
  std::string const path = test::write_file(folder_ / "plan", "before");
  MappedFile const file(path);
  std::filesystem::rename(test::write_file(folder_ / "new", "after"), path);
  EXPECT_EQ(bytes_of(file), "before");
  EXPECT_EQ(bytes_of(MappedFile(path)), "after");
}

TEST_F(MappedFileTest, WhatIsNoFileIsRefusedByName) {
  std::string const missing = folder_ / "missing";
  EXPECT_TRUE(throws(ErrorKind::kEngine, {missing + ": cannot be read", "No such file"}, [&] { MappedFile{missing}; }));
  EXPECT_TRUE(throws(ErrorKind::kEngine, {folder_.path() + ": cannot be read", "a folder"},
                     [&] { MappedFile{folder_.path()}; }));
  std::string const pipe = folder_ / "pipe";  // nobody writes to it: reading would wait
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(throws(ErrorKind::kEngine, {pipe, "no ordinary file"}, [&] { MappedFile{pipe}; }));
}

TEST_F(MappedFileTest, AFileThatMayNotBeReadIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  std::string const path = test::write_file(folder_ / "secret", "bytes");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_TRUE(throws(ErrorKind::kEngine, {path, "Permission denied"}, [&] { MappedFile{path}; }));
}

// A plan as its header tells it, of this size; the disk holds the header alone.
std::string sparse_plan(std::string const& path, std::uint64_t size, std::uint64_t written) {
  std::string header = "ftrt" + std::string(24, '\0');
  header.replace(16, sizeof written, std::string(reinterpret_cast<char const*>(&written), sizeof written));
  header[24] = 8;
  header[25] = 6;
  test::write_file(path, header);
  std::filesystem::resize_file(path, size);
  return path;
}

TEST_F(MappedFileTest, APlanIsNotReadIntoMemoryToBeLookedAt) {
  constexpr std::uint64_t kSize = std::uint64_t{1} << 30;
  test::Environment const variable("TF2TRT_NVINFER", folder_.path().c_str());  // no TensorRT there
  auto const peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  };
  std::string const path = sparse_plan(folder_ / "large.engine", kSize, kSize);
  auto const before = peak();
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound, {"can read this plan (version 8.6.0)"}, [&] { Engine::load(path); }));
  EXPECT_LT(peak() - before, kSize / 16);
  EXPECT_FALSE(is_mapped(path));
}

TEST_F(MappedFileTest, ATruncatedPlanIsNamedAndUnmapped) {
  std::string const path = sparse_plan(folder_ / "m.engine", 5000, 6000);
  EXPECT_TRUE(throws(ErrorKind::kEngine, {path + ": the plan is truncated", "5000 bytes", "6000 bytes"},
                     [&] { Engine::load(path); }));
  EXPECT_FALSE(is_mapped(path));
}

}  // namespace
}  // namespace tf2trt
