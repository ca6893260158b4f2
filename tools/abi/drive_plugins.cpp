// Loads libtf2trt_plugins.so and calls its creators and plugins through NVIDIA's classes, as TensorRT does.
// Compiled against the headers of one TensorRT version by `python tools/abi plugins --library FILE DIR`.
#include <dlfcn.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

#include "NvInfer.h"
#include "count.hpp"
#if NV_TENSORRT_MAJOR == 8
#include "plugins_v2.hpp"
#else
#include "plugins_v3.hpp"
#endif
#include "sdk/layout.hpp"
#include "sdk/tensor.hpp"

// Found only where NVIDIA's namespace has no such name.
class ILoggerFinder;
namespace nvinfer1 {
using LoggerFinderOrNothing = ILoggerFinder;
}

namespace {

namespace sdk = tf2trt::plugins;
using drive::Count;

#if NV_TENSORRT_MAJOR == 8
using Creator = nvinfer1::IPluginCreator;
using Exported = nvinfer1::IPluginCreator;
constexpr char const* kExport = "getPluginCreators";
constexpr char const* kInterface = "V2";
using OurDims = tf2trt::abi::Dims32;
using OurDynamicDesc = sdk::DynamicTensorDesc8;
#else
using Creator = nvinfer1::IPluginCreatorV3One;
using Exported = nvinfer1::IPluginCreatorInterface;
constexpr char const* kExport = "getCreators";
constexpr char const* kInterface = "V3";
using OurDims = tf2trt::abi::Dims64;
using OurDynamicDesc = sdk::DynamicTensorDesc10;
#endif

#define SAME_SIZE(Ours, Theirs) count.call(sizeof(Ours) == sizeof(nvinfer1::Theirs), "sizeof " #Theirs)
#define SAME_MEMBER(Ours, ours, Theirs, theirs)                                                          \
  count.call(offsetof(Ours, ours) == offsetof(nvinfer1::Theirs, theirs) &&                               \
                 sizeof(std::declval<Ours&>().ours) == sizeof(std::declval<nvinfer1::Theirs&>().theirs), \
             #Theirs "::" #theirs)

// The structures of sdk/layout.hpp.
void compare_layouts() {
  Count count("layout");
  SAME_SIZE(sdk::PluginField, PluginField);
  SAME_MEMBER(sdk::PluginField, name, PluginField, name);
  SAME_MEMBER(sdk::PluginField, data, PluginField, data);
  SAME_MEMBER(sdk::PluginField, type, PluginField, type);
  SAME_MEMBER(sdk::PluginField, length, PluginField, length);
  SAME_SIZE(sdk::PluginFieldCollection, PluginFieldCollection);
  SAME_MEMBER(sdk::PluginFieldCollection, count, PluginFieldCollection, nbFields);
  SAME_MEMBER(sdk::PluginFieldCollection, fields, PluginFieldCollection, fields);
  using OurDesc = sdk::TensorDesc<OurDims>;
  SAME_SIZE(OurDesc, PluginTensorDesc);
  SAME_MEMBER(OurDesc, dims, PluginTensorDesc, dims);
  SAME_MEMBER(OurDesc, type, PluginTensorDesc, type);
  SAME_MEMBER(OurDesc, format, PluginTensorDesc, format);
  SAME_MEMBER(OurDesc, scale, PluginTensorDesc, scale);
  SAME_SIZE(OurDynamicDesc, DynamicPluginTensorDesc);
  SAME_MEMBER(OurDynamicDesc, desc, DynamicPluginTensorDesc, desc);
  SAME_MEMBER(OurDynamicDesc, min, DynamicPluginTensorDesc, min);
  SAME_MEMBER(OurDynamicDesc, max, DynamicPluginTensorDesc, max);
#if NV_TENSORRT_MAJOR > 8
  SAME_MEMBER(OurDynamicDesc, opt, DynamicPluginTensorDesc, opt);
#endif
  SAME_SIZE(sdk::DimsExprs, DimsExprs);
  SAME_MEMBER(sdk::DimsExprs, count, DimsExprs, nbDims);
  SAME_MEMBER(sdk::DimsExprs, extents, DimsExprs, d);
}

// Where a version's headers have no such enumerator there is nothing to compare.
#define SAME_VALUE(ours, Enum, name)                                                          \
  [&]<class Theirs>(Theirs) {                                                                 \
    if constexpr (requires { Theirs::name; })                                                 \
      count.call(static_cast<int>(ours) == static_cast<int>(Theirs::name), #Enum "::" #name); \
  }(nvinfer1::Enum{})

void compare_enumerators() {
  Count count("enumerators");
  using sdk::FieldType;
  SAME_VALUE(FieldType::kFloat16, PluginFieldType, kFLOAT16);
  SAME_VALUE(FieldType::kFloat32, PluginFieldType, kFLOAT32);
  SAME_VALUE(FieldType::kFloat64, PluginFieldType, kFLOAT64);
  SAME_VALUE(FieldType::kInt8, PluginFieldType, kINT8);
  SAME_VALUE(FieldType::kInt16, PluginFieldType, kINT16);
  SAME_VALUE(FieldType::kInt32, PluginFieldType, kINT32);
  SAME_VALUE(FieldType::kChar, PluginFieldType, kCHAR);
  SAME_VALUE(FieldType::kInt64, PluginFieldType, kINT64);
  using sdk::Format;
  SAME_VALUE(Format::kLinear, TensorFormat, kLINEAR);
  SAME_VALUE(Format::kChw2, TensorFormat, kCHW2);
  SAME_VALUE(Format::kHwc8, TensorFormat, kHWC8);
  SAME_VALUE(Format::kChw4, TensorFormat, kCHW4);
  SAME_VALUE(Format::kChw16, TensorFormat, kCHW16);
  SAME_VALUE(Format::kChw32, TensorFormat, kCHW32);
  SAME_VALUE(sdk::DataType::kFloat32, DataType, kFLOAT);
  SAME_VALUE(sdk::DataType::kFloat16, DataType, kHALF);
  SAME_VALUE(sdk::DataType::kInt8, DataType, kINT8);
  SAME_VALUE(sdk::DataType::kBfloat16, DataType, kBF16);
#if NV_TENSORRT_MAJOR > 8
  SAME_VALUE(0, PluginCapabilityType, kCORE);
  SAME_VALUE(1, PluginCapabilityType, kBUILD);
  SAME_VALUE(2, PluginCapabilityType, kRUNTIME);
  SAME_VALUE(0, TensorRTPhase, kBUILD);
  SAME_VALUE(1, TensorRTPhase, kRUNTIME);
#endif
}

template <class F>
F find(void* library, char const* name) {
  return reinterpret_cast<F>(dlsym(library, name));
}

// Its virtual table lies in this program, which is no TensorRT: the library must take it and leave it.
template <class Theirs>
void set_logger_finder(void* library) {
  if constexpr (requires { sizeof(Theirs); }) {
    struct Finder : Theirs {
      nvinfer1::ILogger* findLogger() override {
        ++calls;
        return nullptr;
      }
      int calls = 0;
    };
    static Finder finder;
    Count count("setLoggerFinder");
    auto const set = find<void (*)(Theirs*)>(library, "setLoggerFinder");
    for (auto* const one : {static_cast<Theirs*>(nullptr), static_cast<Theirs*>(&finder)}) {
      if (set != nullptr) set(one);
      count.call(set != nullptr && finder.calls == 0, "setLoggerFinder");
    }
  }
}

// The creators of this library, by name and in any order.
void drive_library(void* library) {
  Count count(kExport);
  auto const get = find<Exported* const* (*)(std::int32_t&)>(library, kExport);
  count.same("exported", get != nullptr, true);
  if (get == nullptr) return;
  std::int32_t number = -1;
  Exported* const* const creators = get(number);
  count.same("number", number, 2);
  std::int32_t again = -1;
  count.same("called again", get(again) == creators && again == number, true);
  for (auto op : {drive::l2_normalize(), drive::leaky_relu()}) {
    Creator* found = nullptr;
    for (std::int32_t i = 0; i < number; ++i) {
      auto* const one = static_cast<Creator*>(creators[i]);
      if (std::strcmp(one->getPluginName(), op.name) == 0) found = one;
    }
    count.same(op.name, found != nullptr, true);
    if (found != nullptr) drive::drive_creator(found, op);
  }
}

void on_crash(int signal) {
  char const said[] = "  crashed after ";
  static_cast<void>(!write(STDOUT_FILENO, said, sizeof said - 1));
  static_cast<void>(!write(STDOUT_FILENO, Count::last(), std::strlen(Count::last())));
  static_cast<void>(!write(STDOUT_FILENO, "\n", 1));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

int main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  for (int const signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) std::signal(signal, on_crash);
  void* const library = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", count == 2 ? dlerror() : "usage: drive_plugins LIBRARY");
    return 1;
  }
  compare_layouts();
  compare_enumerators();
  drive::compare_slots();
  set_logger_finder<nvinfer1::LoggerFinderOrNothing>(library);
  drive::drive_expressions();
  drive_library(library);
  std::printf("%d.%d.%d: %d calls through NVIDIA's classes, %d difference%s, answers of %s: %016llx\n",
              NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH, Count::all_calls(), Count::all_differences(),
              Count::all_differences() == 1 ? "" : "s", kInterface, static_cast<unsigned long long>(Count::hash()));
  return Count::all_differences() == 0 ? 0 : 1;
}
