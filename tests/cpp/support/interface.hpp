// Calls an object that TensorRT is given as TensorRT does: through its table.
#pragma once

namespace tf2trt::test {

template <class R, class... P>
R at_slot(void* object, int slot, P... arguments) {
  void* const* table = *static_cast<void* const**>(object);
  return reinterpret_cast<R (*)(void*, P...)>(table[slot])(object, arguments...);
}

}  // namespace tf2trt::test
