// EXPECT_TRUE(throws(ErrorKind::kUsage, {"words", "in the message"}, [&] { ... }));
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>
#include <vector>

#include "tf2trt/error.hpp"

namespace tf2trt::test {

// Whether `action` throws Error of this kind with all of these words in its message.
template <class F>
testing::AssertionResult throws(ErrorKind kind, std::vector<std::string> const& words, F&& action) {
  try {
    action();
  } catch (Error const& error) {
    std::string const text = error.what();
    if (error.kind() != kind) return testing::AssertionFailure() << error_class(error.kind()) << ": " << text;
    for (auto const& word : words) {
      if (text.find(word) == std::string::npos) {
        return testing::AssertionFailure() << '"' << word << "\" is not in the message: " << text;
      }
    }
    return testing::AssertionSuccess();
  } catch (std::exception const& error) {
    return testing::AssertionFailure() << "another exception: " << error.what();
  }
  return testing::AssertionFailure() << "nothing was thrown";
}

}  // namespace tf2trt::test
