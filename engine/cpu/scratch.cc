// Scratch memory for kernels (chunk.h): one growing block per thread and slot, from the caching allocator.
#include <array>
#include <cassert>
#include <cstddef>

#include "engine/core/allocator.h"

namespace engine::cpu {
namespace {

struct Block {
  void* data = nullptr;
  size_t bytes = 0;
  ~Block() {
    if (data) release(Device::cpu, data, bytes);
  }
};

}  // namespace

void* thread_scratch(size_t bytes, int slot) {
  static thread_local std::array<Block, 8> blocks;
  assert(slot >= 0 && slot < 8);
  Block& block = blocks[size_t(slot)];
  if (bytes > block.bytes) {
    if (block.data) release(Device::cpu, block.data, block.bytes);
    block = {};
    block.data = allocate(Device::cpu, bytes);
    block.bytes = bytes;
  }
  poison(Device::cpu, block.data, block.bytes);
  return block.data;
}

}  // namespace engine::cpu
