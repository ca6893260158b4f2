// The last version of each generation.
#pragma once

#include "abi/slots.hpp"

namespace tf2trt::test {

inline abi::Api api8() { return {8, {8, 6, 1}}; }
inline abi::Api api10() { return {10, {10, 16, 1}}; }
inline abi::Api api11() { return {11, {11, 1, 0}}; }

}  // namespace tf2trt::test
