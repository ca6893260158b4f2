// The interfaces that TensorRT calls, laid out as NVIDIA's classes are: the order of the virtual functions is the
// interface. tools/abi/drive.cpp compiles this file against NVIDIA's headers and calls every function through NVIDIA's
// own classes.
//
//   ILogger, IProfiler   8, 10: plain (the function, then the destructor); 11: versioned
//   IProgressMonitor     10, 11: versioned
//   IOutputAllocator     8.5, 8.6: plain, with its version first and the destructor last; 10, 11: versioned
//
// A versioned interface starts with getAPILanguage, getInterfaceInfo and the destructor.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "abi/types.hpp"

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

class OutputSink {
 public:
  // Memory of at least `size` bytes (never 0) on the device, or nullptr where there is none: TensorRT's enqueue then
  // fails. `current` is what setTensorAddress was given.
  virtual void* on_reallocate(char const* name, void* current, std::uint64_t size,
                              std::uint64_t alignment) noexcept = 0;
  virtual void on_shape(char const* name, std::int64_t const* extents, std::int32_t count) noexcept = 0;

 protected:
  ~OutputSink() = default;
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

class OutputAllocator8 {
 public:
  explicit OutputAllocator8(OutputSink& sink) noexcept : sink_(&sink) {}
  [[nodiscard]] virtual std::int32_t getInterfaceVersion() const noexcept { return 1; }
  virtual void* reallocateOutput(char const* name, void* current, std::uint64_t size,
                                 std::uint64_t alignment) noexcept {
    return sink_->on_reallocate(name, current, size, alignment);
  }
  virtual void notifyShape(char const* name, Dims32 const& dims) noexcept {
    std::array<std::int64_t, kMaxDims> extents{};
    std::copy(dims.extents.begin(), dims.extents.end(), extents.begin());
    sink_->on_shape(name, extents.data(), dims.count);
  }
  virtual ~OutputAllocator8() = default;
  OutputAllocator8(OutputAllocator8 const&) = delete;
  OutputAllocator8& operator=(OutputAllocator8 const&) = delete;

 private:
  OutputSink* sink_;
};

class OutputAllocator10 {
 public:
  explicit OutputAllocator10(OutputSink& sink) noexcept : sink_(&sink) {}
  [[nodiscard]] virtual std::int32_t getAPILanguage() const noexcept { return kApiLanguageCpp; }
  [[nodiscard]] virtual InterfaceInfo getInterfaceInfo() const noexcept { return {"IOutputAllocator", 1, 0}; }
  virtual ~OutputAllocator10() = default;
  virtual void* reallocateOutput(char const* name, void* current, std::uint64_t size,
                                 std::uint64_t alignment) noexcept {
    return sink_->on_reallocate(name, current, size, alignment);
  }
  // TensorRT calls this one; the memory is good for any stream.
  virtual void* reallocateOutputAsync(char const* name, void* current, std::uint64_t size, std::uint64_t alignment,
                                      void* /*stream*/) noexcept {
    return sink_->on_reallocate(name, current, size, alignment);
  }
  virtual void notifyShape(char const* name, Dims64 const& dims) noexcept {
    sink_->on_shape(name, dims.extents.data(), dims.count);
  }
  OutputAllocator10(OutputAllocator10 const&) = delete;
  OutputAllocator10& operator=(OutputAllocator10 const&) = delete;

 private:
  OutputSink* sink_;
};

}  // namespace tf2trt::abi
