// Plans that the fake TensorRT runtime reads.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace tf2trt::test {

// `text` names an engine of fake_models.hpp; the version is what the plan says wrote it.
inline std::string fake_plan(std::string const& text, int major = 8, int minor = 6, int patch = 0) {
  std::string plan(28, '\0');
  plan.replace(0, 4, "ftrt");
  plan[24] = static_cast<char>(major);
  plan[25] = static_cast<char>(minor);
  plan[26] = static_cast<char>(patch);
  plan += text + "\n";
  std::uint64_t const size = plan.size();
  std::memcpy(&plan[16], &size, sizeof size);
  return plan;
}

}  // namespace tf2trt::test
