// No exception may reach TensorRT.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace tf2trt::plugins {

// Tells the logger of the TensorRT that uses this library; standard error where none is known.
void log_error(std::string const& text) noexcept;

// The body's result; `failure`, and a line in the log, where it throws. `who` names the operator.
template <class R, class Body>
R guarded(char const* who, R failure, Body&& body) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (std::exception const& error) {
    log_error("plugin " + std::string(who) + ": " + error.what());
  } catch (...) {
    log_error("plugin " + std::string(who) + ": an unknown exception");
  }
  return failure;
}

}  // namespace tf2trt::plugins
