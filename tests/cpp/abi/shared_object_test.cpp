#include "abi/shared_object.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"

namespace tf2trt::abi {
namespace {

using test::throws;

std::vector<std::string> names(std::string const& folder, std::string const& prefix) {
  std::vector<std::string> found;
  for (auto const& path : files_starting_with(folder, prefix)) {
    found.push_back(std::filesystem::path(path).filename().string());
  }
  return found;
}

TEST(SharedObject, NewestVersionComesFirst) {
  test::TempFolder const folder;
  for (char const* name : {"libx.so.8", "libx.so.11", "libx.so.10", "libx.so", "libx_other.so.12", "x.so.9"}) {
    test::write_file(folder / name, "");
  }
  EXPECT_EQ(names(folder.path(), "libx.so"),
            (std::vector<std::string>{"libx.so.11", "libx.so.10", "libx.so.8", "libx.so"}));
  EXPECT_EQ(names(folder.path(), "libx.so.1"), (std::vector<std::string>{"libx.so.11", "libx.so.10"}));
}

TEST(SharedObject, NoFolderHoldsNothing) {
  EXPECT_TRUE(files_starting_with("/no/such/folder", "lib").empty());
  EXPECT_TRUE(files_starting_with("", "lib").empty());
}

TEST(SharedObject, LoaderSaysWhy) {
  test::TempFolder const folder;
  std::string const path = test::write_file(folder / "libx.so", "this is text");
  std::string reason;
  EXPECT_EQ(try_load_shared_object(path, &reason), nullptr);
  EXPECT_NE(reason.find(path), std::string::npos) << reason;
  EXPECT_EQ(try_load_shared_object(path), nullptr);
  EXPECT_TRUE(throws(ErrorKind::kLibrary, {path, "cannot be loaded", reason}, [&] { load_shared_object(path); }));
}

TEST(SharedObject, SymbolsAndTheirFile) {
  test::TempFolder const folder;
  std::string const path = test::put_fake("nothing", folder / "libx.so");
  void* handle = load_shared_object(path);
  void* symbol = find_symbol(handle, "fake_nothing");
  ASSERT_NE(symbol, nullptr);
  EXPECT_EQ(file_of(symbol), path);
  EXPECT_EQ(find_symbol(handle, "no_such_symbol"), nullptr);
  EXPECT_EQ(file_of(nullptr), "");
}

}  // namespace
}  // namespace tf2trt::abi
