#include "tf2trt/logger.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "abi/slots.hpp"
#include "log.hpp"

namespace tf2trt {
namespace {

// Logs as TensorRT does: through the logger's table.
void log_as(int generation, Severity severity, char const* text) {
  abi::Api const api(generation, {generation, 1, 0});
  void* logger = detail::tensorrt_logger(generation);
  void* const* table = *static_cast<void* const**>(logger);
  auto const slot = api.slot(abi::Method::ILogger_log);
  reinterpret_cast<void (*)(void*, std::int32_t, char const*)>(table[slot])(logger, static_cast<int>(severity), text);
}

void log(Severity severity, std::string const& text) { log_as(10, severity, text.c_str()); }

std::vector<std::string> texts(LogCapture const& capture) {
  std::vector<std::string> found;
  for (auto const& line : capture.lines()) found.push_back(line.text);
  return found;
}

using Texts = std::vector<std::string>;

class LoggerTest : public testing::Test {
 protected:
  void TearDown() override { set_log_listener({}); }
};

TEST_F(LoggerTest, EveryGenerationLogsToTheSamePlace) {
  LogCapture const capture;
  log_as(10, Severity::kWarning, "ten");
  log_as(11, Severity::kError, "eleven");
  EXPECT_EQ(texts(capture), (Texts{"ten", "eleven"}));
  EXPECT_EQ(detail::tensorrt_logger(8), detail::tensorrt_logger(10));
  EXPECT_NE(detail::tensorrt_logger(8), detail::tensorrt_logger(11));
}

TEST_F(LoggerTest, CaptureKeepsWarningsAndErrors) {
  LogCapture const capture;
  log(Severity::kVerbose, "verbose");
  log(Severity::kInfo, "info");
  log(Severity::kWarning, "warning");
  log(Severity::kError, "error");
  log(Severity::kInternalError, "internal");
  EXPECT_EQ(texts(capture), (Texts{"warning", "error", "internal"}));
  EXPECT_EQ(capture.lines()[0].severity, Severity::kWarning);
  EXPECT_EQ(capture.lines()[2].severity, Severity::kInternalError);
}

TEST_F(LoggerTest, ErrorsAreIndentedLinesAndWarningsStandInForThem) {
  LogCapture const capture;
  EXPECT_EQ(capture.errors(), "");
  log(Severity::kWarning, "warning");
  EXPECT_EQ(capture.errors(), "\n  TensorRT: warning");
  log(Severity::kError, "first");
  log(Severity::kInternalError, "second");
  EXPECT_EQ(capture.errors(), "\n  TensorRT: first\n  TensorRT: second");
}

TEST_F(LoggerTest, OnlyTheLastErrorsAreShown) {
  LogCapture const capture;
  for (int i = 0; i < 10; ++i) log(Severity::kError, "error " + std::to_string(i));
  std::string const errors = capture.errors();
  EXPECT_EQ(errors.find("error 3"), std::string::npos);
  EXPECT_EQ(errors.find("\n  TensorRT: error 4"), 0U);
  EXPECT_NE(errors.find("error 9"), std::string::npos);
}

TEST_F(LoggerTest, TheLast64LinesAreKept) {
  LogCapture const capture;
  for (int i = 0; i < 100; ++i) log(Severity::kWarning, std::to_string(i));
  auto const lines = texts(capture);
  ASSERT_EQ(lines.size(), 64U);
  EXPECT_EQ(lines.front(), "36");
  EXPECT_EQ(lines.back(), "99");
}

TEST_F(LoggerTest, CapturesSeeWhatIsLoggedWhileTheyLive) {
  LogCapture const outer;
  log(Severity::kError, "one");
  {
    LogCapture const inner;
    log(Severity::kError, "two");
    EXPECT_EQ(texts(inner), Texts{"two"});
  }
  LogCapture const later;
  log(Severity::kError, "three");
  EXPECT_EQ(texts(outer), (Texts{"one", "two", "three"}));
  EXPECT_EQ(texts(later), Texts{"three"});
}

TEST_F(LoggerTest, ListenerHearsFromItsSeverityOn) {
  Texts heard;
  auto const listener = [&](LogLine const& line) { heard.push_back(line.text); };
  set_log_listener(listener);
  log(Severity::kInfo, "info");
  log(Severity::kWarning, "warning");
  set_log_listener(listener, Severity::kVerbose);
  log(Severity::kVerbose, "verbose");
  set_log_listener(listener, Severity::kError);
  log(Severity::kWarning, "warning again");
  log(Severity::kError, "error");
  set_log_listener({});
  log(Severity::kError, "nobody listens");
  EXPECT_EQ(heard, (Texts{"warning", "verbose", "error"}));
}

TEST_F(LoggerTest, WhatAListenerThrowsIsDropped) {
  int calls = 0;
  set_log_listener([&](LogLine const& /*line*/) {
    ++calls;
    throw std::runtime_error("from the listener");
  });
  LogCapture const capture;
  log_as(10, Severity::kError, "one");
  log_as(11, Severity::kError, "two");
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(texts(capture), (Texts{"one", "two"}));
}

TEST_F(LoggerTest, AListenerMayLogAndCaptureItself) {
  Texts heard;
  set_log_listener([&](LogLine const& line) {
    heard.push_back(line.text);
    LogCapture const capture;
    if (heard.size() < 3) log(Severity::kError, line.text + "+");
  });
  log(Severity::kError, "a");
  EXPECT_EQ(heard, (Texts{"a", "a+", "a++"}));
}

TEST_F(LoggerTest, NoTextIsAnEmptyLine) {
  LogCapture const capture;
  log_as(10, Severity::kError, nullptr);
  EXPECT_EQ(texts(capture), Texts{""});
}

TEST_F(LoggerTest, ThreadsMayLogAtTheSameTime) {
  constexpr int kLines = 500;
  std::atomic<int> heard{0};
  set_log_listener([&](LogLine const& /*line*/) { ++heard; });
  LogCapture const capture;
  auto const work = [] {
    for (int i = 0; i < kLines; ++i) {
      LogCapture const own;
      log(Severity::kError, "line");
      EXPECT_FALSE(own.lines().empty());
    }
  };
  std::thread first(work);
  std::thread second(work);
  first.join();
  second.join();
  EXPECT_EQ(heard, 2 * kLines);
  EXPECT_EQ(capture.lines().size(), 64U);
}

}  // namespace
}  // namespace tf2trt
