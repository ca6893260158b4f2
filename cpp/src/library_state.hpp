// What a loaded library holds, for the other sources of tf2trt.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "abi/object.hpp"
#include "abi/slots.hpp"
#include "tf2trt/library.hpp"

namespace tf2trt {

struct Library::State {
  State(std::string file, LibraryKind which, abi::Version own, int number, abi::Api tables)
      : path(std::move(file)), kind(which), version(own), version_number(number), api(tables) {}

  std::string path;
  std::string parser_path;
  LibraryKind kind;
  abi::Version version;
  int version_number;  // as the library itself reports it; handed back to its entry points
  abi::Api api;
  void* (*create_builder)(void* logger, std::int32_t version) = nullptr;
  void* (*create_runtime)(void* logger, std::int32_t version) = nullptr;

  // Throw Error(kLibrary, kDevice or kBuild) with TensorRT's own words.
  [[nodiscard]] abi::Owned make_builder() const;
  [[nodiscard]] abi::Owned make_runtime() const;
  // `network` must outlive the parser.
  [[nodiscard]] abi::Owned make_parser(void* network) const;

 private:
  mutable std::mutex parser_mutex_;
  mutable void* (*create_parser_)(void* network, void* logger, std::int32_t version) = nullptr;
  mutable std::int32_t parser_version_ = 0;
};

}  // namespace tf2trt
