#include "tf2trt/logger.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "abi/callbacks.hpp"
#include "log.hpp"

namespace tf2trt {
namespace {

constexpr std::size_t kKeptLines = 64;
constexpr std::size_t kErrorsShown = 6;

class Log final : public abi::LogSink {
 public:
  void on_log(std::int32_t severity, char const* text) noexcept override {
    try {
      LogLine line{static_cast<Severity>(severity), text == nullptr ? "" : text};
      std::function<void(LogLine const&)> listener;
      {
        std::scoped_lock const lock(mutex_);
        if (line.severity <= Severity::kWarning) {
          for (auto& [capture, lines] : captures_) {
            lines.push_back(line);
            if (lines.size() > kKeptLines) lines.pop_front();
          }
        }
        if (listener_ && line.severity <= least_) listener = listener_;
      }
      if (listener) listener(line);
    } catch (...) {  // NOLINT(bugprone-empty-catch): a lost log line must not end TensorRT's process
    }
  }

  void listen(std::function<void(LogLine const&)> listener, Severity least) {
    std::scoped_lock const lock(mutex_);
    listener_ = std::move(listener);
    least_ = least;
  }

  void add(LogCapture const* capture) {
    std::scoped_lock const lock(mutex_);
    captures_[capture];
  }

  void remove(LogCapture const* capture) noexcept {
    std::scoped_lock const lock(mutex_);
    captures_.erase(capture);
  }

  std::vector<LogLine> lines(LogCapture const* capture) {
    std::scoped_lock const lock(mutex_);
    auto const& kept = captures_[capture];
    return {kept.begin(), kept.end()};
  }

 private:
  std::mutex mutex_;
  std::map<LogCapture const*, std::deque<LogLine>> captures_;
  std::function<void(LogLine const&)> listener_;
  Severity least_ = Severity::kWarning;
};

// Never destroyed: TensorRT's own static objects may log while the process ends.
Log& the_log() {
  static auto* log = new Log;
  return *log;
}

}  // namespace

void* detail::tensorrt_logger(int generation) {
  // Never destroyed, as the log itself.
  static auto* plain = new abi::Logger8(the_log());
  static auto* versioned = new abi::Logger11(the_log());
  return generation >= 11 ? static_cast<void*>(versioned) : static_cast<void*>(plain);
}

void set_log_listener(std::function<void(LogLine const&)> listener, Severity least) {
  the_log().listen(std::move(listener), least);
}

LogCapture::LogCapture() { the_log().add(this); }
LogCapture::~LogCapture() { the_log().remove(this); }
std::vector<LogLine> LogCapture::lines() const { return the_log().lines(this); }

std::string LogCapture::errors() const {
  std::vector<LogLine> kept = lines();
  auto const is_error = [](auto const& line) { return line.severity <= Severity::kError; };
  if (std::any_of(kept.begin(), kept.end(), is_error)) {
    kept.erase(std::remove_if(kept.begin(), kept.end(), [&](auto const& line) { return !is_error(line); }), kept.end());
  }
  std::string text;
  for (std::size_t i = kept.size() > kErrorsShown ? kept.size() - kErrorsShown : 0; i < kept.size(); ++i) {
    text += "\n  TensorRT: " + kept[i].text;
  }
  return text;
}

}  // namespace tf2trt
