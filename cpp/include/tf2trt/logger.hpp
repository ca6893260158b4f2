// TensorRT's messages. Every exception carries the last errors; a program may also listen to all of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace tf2trt {

// TensorRT's own numbering, the same in 8, 10 and 11.
enum class Severity { kInternalError = 0, kError = 1, kWarning = 2, kInfo = 3, kVerbose = 4 };

struct LogLine {
  Severity severity;
  std::string text;
};

// Called for every message at or above `least` severity, from whichever thread TensorRT uses; it must not throw
// (what it throws is dropped). An empty function turns listening off.
void set_log_listener(std::function<void(LogLine const&)> listener, Severity least = Severity::kWarning);

// Collects warnings and errors for as long as it lives; at most the last 64 lines are kept. TensorRT's log is one per
// process, so work done at the same time in other threads shows up too.
class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(LogCapture const&) = delete;
  LogCapture& operator=(LogCapture const&) = delete;
  LogCapture(LogCapture&&) = delete;
  LogCapture& operator=(LogCapture&&) = delete;

  [[nodiscard]] std::vector<LogLine> lines() const;
  // The last errors, or where there are none the last warnings, one a line and indented, to be put behind an
  // exception's message; "" where there was neither.
  [[nodiscard]] std::string errors() const;
};

}  // namespace tf2trt
