// The program as a user calls it: what it prints where, and its status.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "support/files.hpp"

namespace tf2trt {
namespace {

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

Outcome run(std::string const& arguments) {
  test::TempFolder const folder;
  std::string const command =
      std::string(TF2TRT_RUN) + " " + arguments + " > " + folder / "out" + " 2> " + folder / "err";
  // NOLINTNEXTLINE(bugprone-command-processor): what the shell is given is all made here
  int const status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, test::read_file(folder / "out"),
          test::read_file(folder / "err")};
}

TEST(Tf2TrtRun, Help) {
  for (char const* word : {"--help", "-h"}) {
    Outcome const outcome = run(word);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.out.find("usage: tf2trt-run ENGINE"), 0U);
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Tf2TrtRun, WrongUsageIsStatus2AndOnStandardError) {
  struct Wrong {
    char const* arguments;
    char const* words;
  };
  for (auto const& [arguments, words] :
       {Wrong{"", "no engine was given"}, Wrong{"m.engine x.npy", "x.npy: expected NAME=INPUT.npy"},
        Wrong{"m.engine --output", "--output: needs a value"}, Wrong{"m.engine --iterations", "needs a value"},
        Wrong{"m.engine --iterations 0", "--iterations: needs a number"},
        Wrong{"m.engine --iterations many", "--iterations: needs a number"},
        Wrong{"m.engine --no-such-option", "--no-such-option"}, Wrong{"--no-such-option", "--no-such-option"}}) {
    Outcome const outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(outcome.err.find("Error: "), 0U) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("usage: tf2trt-run"), std::string::npos) << outcome.err;
  }
}

TEST(Tf2TrtRun, EnginesThatCannotBeReadAreStatus1) {
  test::TempFolder const folder;
  struct Wrong {
    std::string path;
    char const* words;
  };
  for (auto const& [path, words] : {Wrong{"/no/such/m.engine", "/no/such/m.engine: cannot be read"},
                                    Wrong{test::write_file(folder / "empty.engine", ""), "too short"},
                                    Wrong{test::write_file(folder / "m.onnx", std::string(100, 'x')), "tf2trt build"},
                                    Wrong{folder.path(), folder.path().c_str()}}) {
    Outcome const outcome = run(path);
    EXPECT_EQ(outcome.status, 1) << path;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.find("Error: "), 0U) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  }
}

TEST(Tf2TrtRun, NoLibraryForTheEngine) {
  test::TempFolder const folder;
  test::Environment const variable("TF2TRT_NVINFER", folder.path().c_str());
  std::string const plan = "ftrt" + std::string(20, '\0') + "\x08\x06\x01\x01";
  Outcome const outcome = run(test::write_file(folder / "m.engine", plan));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("no TensorRT that can read this plan (version 8.6.1)"), std::string::npos) << outcome.err;
}

TEST(Tf2TrtRun, NoLeanRuntimeForTheEngine) {
  test::TempFolder const folder;
  test::Environment const variable("TF2TRT_NVINFER", folder.path().c_str());
  std::string const plan = "ftrt" + std::string(20, '\0') + "\x0a\x03\x01\x01";
  Outcome const outcome = run(test::write_file(folder / "m.engine", plan) + " --lean");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("no lean runtime that can read this plan (version 10.3.1)"), std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace tf2trt
