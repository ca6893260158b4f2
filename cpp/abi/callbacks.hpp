// The interfaces that TensorRT calls, laid out as NVIDIA's classes are: the order of the virtual functions is the
// interface. tools/abi/drive.cpp compiles this file against NVIDIA's headers and calls every function through NVIDIA's
// own classes.
//
//   ILogger, IProfiler   8, 10: plain (the function, then the destructor); 11: versioned
//   IProgressMonitor     10, 11: versioned
//
// A versioned interface starts with getAPILanguage, getInterfaceInfo and the destructor.
#pragma once

#include <cstdint>

namespace tf2trt::abi {

// Sinks are what the rest of tf2trt implements. They are noexcept: no exception may reach TensorRT.
class LogSink {
 public:
  virtual void on_log(std::int32_t severity, char const* text) noexcept = 0;

 protected:
  ~LogSink() = default;
};

class ProfileSink {
 public:
  virtual void on_layer(char const* name, float milliseconds) noexcept = 0;

 protected:
  ~ProfileSink() = default;
};

class ProgressSink {
 public:
  virtual void on_phase_start(char const* phase, char const* parent, std::int32_t steps) noexcept = 0;
  // False asks TensorRT to stop the build.
  virtual bool on_step(char const* phase, std::int32_t step) noexcept = 0;
  virtual void on_phase_finish(char const* phase) noexcept = 0;

 protected:
  ~ProgressSink() = default;
};

// nvinfer1::InterfaceInfo, returned by value.
struct InterfaceInfo {
  char const* kind;
  std::int32_t major;
  std::int32_t minor;
};

// nvinfer1::APILanguage::kCPP.
inline constexpr std::int32_t kApiLanguageCpp = 0;

class Logger8 {
 public:
  explicit Logger8(LogSink& sink) noexcept : sink_(&sink) {}
  virtual void log(std::int32_t severity, char const* text) noexcept { sink_->on_log(severity, text); }
  virtual ~Logger8() = default;
  Logger8(Logger8 const&) = delete;
  Logger8& operator=(Logger8 const&) = delete;

 private:
  LogSink* sink_;
};

class Logger11 {
 public:
  explicit Logger11(LogSink& sink) noexcept : sink_(&sink) {}
  [[nodiscard]] virtual std::int32_t getAPILanguage() const noexcept { return kApiLanguageCpp; }
  [[nodiscard]] virtual InterfaceInfo getInterfaceInfo() const noexcept { return {"ILogger", 1, 0}; }
  virtual ~Logger11() = default;
  virtual void log(std::int32_t severity, char const* text) noexcept { sink_->on_log(severity, text); }
  Logger11(Logger11 const&) = delete;
  Logger11& operator=(Logger11 const&) = delete;

 private:
  LogSink* sink_;
};

class Profiler8 {
 public:
  explicit Profiler8(ProfileSink& sink) noexcept : sink_(&sink) {}
  virtual void reportLayerTime(char const* name, float milliseconds) noexcept { sink_->on_layer(name, milliseconds); }
  virtual ~Profiler8() = default;
  Profiler8(Profiler8 const&) = delete;
  Profiler8& operator=(Profiler8 const&) = delete;

 private:
  ProfileSink* sink_;
};

class Profiler11 {
 public:
  explicit Profiler11(ProfileSink& sink) noexcept : sink_(&sink) {}
  [[nodiscard]] virtual std::int32_t getAPILanguage() const noexcept { return kApiLanguageCpp; }
  [[nodiscard]] virtual InterfaceInfo getInterfaceInfo() const noexcept { return {"IProfiler", 1, 0}; }
  virtual ~Profiler11() = default;
  virtual void reportLayerTime(char const* name, float milliseconds) noexcept { sink_->on_layer(name, milliseconds); }
  Profiler11(Profiler11 const&) = delete;
  Profiler11& operator=(Profiler11 const&) = delete;

 private:
  ProfileSink* sink_;
};

class ProgressMonitor10 {
 public:
  explicit ProgressMonitor10(ProgressSink& sink) noexcept : sink_(&sink) {}
  [[nodiscard]] virtual std::int32_t getAPILanguage() const noexcept { return kApiLanguageCpp; }
  [[nodiscard]] virtual InterfaceInfo getInterfaceInfo() const noexcept { return {"IProgressMonitor", 1, 0}; }
  virtual ~ProgressMonitor10() = default;
  virtual void phaseStart(char const* phase, char const* parent, std::int32_t steps) noexcept {
    sink_->on_phase_start(phase, parent, steps);
  }
  virtual bool stepComplete(char const* phase, std::int32_t step) noexcept { return sink_->on_step(phase, step); }
  virtual void phaseFinish(char const* phase) noexcept { sink_->on_phase_finish(phase); }
  ProgressMonitor10(ProgressMonitor10 const&) = delete;
  ProgressMonitor10& operator=(ProgressMonitor10 const&) = delete;

 private:
  ProgressSink* sink_;
};

}  // namespace tf2trt::abi
