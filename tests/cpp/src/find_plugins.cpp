// What find_plugin_library finds, seen from the program that this file is copied to.
#include <cstdio>
#include <exception>

#include "tf2trt/plugin.hpp"

int main() {
  try {
    std::printf("found %s\n", tf2trt::find_plugin_library().c_str());
  } catch (std::exception const& error) {
    std::printf("error %s\n", error.what());
  }
  return 0;
}
