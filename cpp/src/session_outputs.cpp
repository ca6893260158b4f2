// Outputs whose shapes depend on the data: TensorRT asks for their memory while it runs, and then says how much of it
// is filled.
#include <algorithm>

#include "session_state.hpp"

namespace tf2trt {
namespace {

class SlotAllocator final : public OutputAllocator {
 public:
  SlotAllocator(TensorSlot& slot, bool mapped) : slot_(&slot), mapped_(mapped) {}

  void* allocate(std::string const& /*name*/, std::size_t bytes) override {
    if (mapped_) {
      slot_->reserve(bytes, true);
    } else if (!slot_->device || slot_->device->size() < bytes) {
      slot_->device.reset();
      slot_->device = std::make_shared<DeviceBuffer>(bytes);
    }
    return slot_->device_address();
  }

  void shape(std::string const& /*name*/, Shape const& extents) override { slot_->shape = extents; }

 private:
  TensorSlot* slot_;
  bool mapped_;
};

}  // namespace

void Session::State::allocate_when_asked(TensorSlot& slot) {
  if (slot.has_allocator) return;
  context.set_output_allocator(slot.info.name, std::make_shared<SlotAllocator>(slot, mapped));
  slot.has_allocator = true;
}

void Session::State::fetch_data_dependent() {
  for (std::size_t const i : outputs) {
    TensorSlot& slot = slots[i];
    if (!slot.data_dependent) continue;
    slot.bytes = bytes_of(slot.info.dtype, element_count(slot.shape));
    if (mapped || !download) continue;
    if (!slot.host || slot.host->size() < slot.bytes) slot.host = std::make_shared<PinnedBuffer>(slot.bytes);
    if (slot.bytes != 0) copy_to_host(*slot.host, *slot.device, slot.bytes, stream.handle());
  }
  stream.synchronize();
}

}  // namespace tf2trt
