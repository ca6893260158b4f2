// TensorRT's plugin registries, and what a library does when it is loaded, last as long as the process.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace tf2trt::test {

// Runs `body`, expectations and all, in a copy of this process; whether that went well there, its end included. What
// this process has loaded already is loaded there too.
template <class F>
testing::AssertionResult in_own_process(F&& body) {
  std::fflush(nullptr);
  pid_t const child = fork();
  if (child < 0) return testing::AssertionFailure() << "no process can be made";
  if (child == 0) {
    // GoogleTest would catch an exception too, and then go on with the next test here.
    try {
      body();
    } catch (std::exception const& error) {
      ADD_FAILURE() << error.what();
    }
    std::exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return testing::AssertionFailure() << "ended by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) != 0) return testing::AssertionFailure() << "failed, see above";
  return testing::AssertionSuccess();
}

}  // namespace tf2trt::test
