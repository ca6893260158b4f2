// Where tf2trt's own plugin library is looked for.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt {
namespace {

using test::throws;

constexpr char kVariable[] = "TF2TRT_PLUGINS_LIBRARY";
constexpr char kFile[] = "libtf2trt_plugins.so";

std::string output_of(std::string const& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  for (int byte = std::fgetc(pipe); byte != EOF; byte = std::fgetc(pipe)) output += static_cast<char>(byte);
  pclose(pipe);
  return output;
}

class FindPluginsTest : public testing::Test {
 protected:
  FindPluginsTest() : root_(std::filesystem::canonical(folder_.path()).string()) {}

  // A program at this place that prints what it finds.
  std::string put_program(std::string const& place) {
    std::string const path = root_ + "/" + place;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::filesystem::copy_file(TF2TRT_FIND_PLUGINS, path);
    return path;
  }
  std::string put_library(std::string const& below) {
    std::string const path = root_ + "/" + below + kFile;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    return test::write_file(path, "found, not loaded");
  }

  test::Environment unset_{kVariable, nullptr};
  test::TempFolder folder_;
  std::string root_;
};

TEST_F(FindPluginsTest, TheVariableNamesTheFile) {
  std::string const path = test::write_file(folder_ / "mine.so", "");
  test::Environment const set(kVariable, path.c_str());
  EXPECT_EQ(find_plugin_library(), path);
}

TEST_F(FindPluginsTest, AVariableThatNamesNoFileIsAnError) {
  std::string const missing = folder_ / "missing.so";
  for (std::string const& path : {missing, folder_.path()}) {
    test::Environment const set(kVariable, path.c_str());
    EXPECT_TRUE(throws(ErrorKind::kPlugin, {kVariable, "names no file", path, kFile, "unset it"},
                       [] { (void)find_plugin_library(); }));
  }
}

TEST_F(FindPluginsTest, BesideTheProgram) {
  std::string const program = put_program("program");
  std::string const library = put_library("");
  EXPECT_EQ(output_of(program), "found " + library + "\n");
}

// As `cmake --install` leaves them.
TEST_F(FindPluginsTest, InLibFromBin) {
  std::string const program = put_program("bin/program");
  std::string const library = put_library("lib/");
  EXPECT_EQ(output_of(program), "found " + library + "\n");
}

// As in the build tree.
TEST_F(FindPluginsTest, InPluginsBelow) {
  std::string const program = put_program("build/program");
  std::string const library = put_library("build/plugins/");
  EXPECT_EQ(output_of(program), "found " + library + "\n");
}

TEST_F(FindPluginsTest, TheProgramMayBeALink) {
  std::string const program = put_program("bin/program");
  std::string const library = put_library("lib/");
  std::filesystem::create_symlink(program, folder_ / "link");
  EXPECT_EQ(output_of(folder_ / "link"), "found " + library + "\n");
}

// The loader then knows it by its name alone.
TEST_F(FindPluginsTest, TheProgramMayBeFoundByTheShell) {
  put_program("bin/program");
  std::string const library = put_library("lib/");
  EXPECT_EQ(output_of("PATH=" + root_ + "/bin program"), "found " + library + "\n");
}

TEST_F(FindPluginsTest, AnEmptyVariableIsNone) {
  std::string const program = put_program("program");
  std::string const library = put_library("");
  test::Environment const empty(kVariable, "");
  EXPECT_EQ(output_of(program), "found " + library + "\n");
}

TEST_F(FindPluginsTest, WhereTheLoaderLooks) {
  std::string const program = put_program("bin/program");
  std::filesystem::create_directory(root_ + "/elsewhere");
  std::string const library = root_ + "/elsewhere/" + kFile;
  std::filesystem::copy_file(TF2TRT_USER_PLUGINS, library);
  EXPECT_EQ(output_of("LD_LIBRARY_PATH=" + root_ + "/elsewhere " + program), "found " + library + "\n");
}

TEST_F(FindPluginsTest, NowhereIsNoError) { EXPECT_EQ(output_of(put_program("bin/program")), "found \n"); }

#ifdef TF2TRT_OWN_PLUGINS
TEST_F(FindPluginsTest, TheBuildTreesOwnIsFoundFromTheProgramsInIt) {
  std::string const root = std::filesystem::path(TF2TRT_RUN).parent_path().string();
  EXPECT_EQ(std::filesystem::path(TF2TRT_OWN_PLUGINS).parent_path(), root + "/plugins");
}
#endif

}  // namespace
}  // namespace tf2trt
