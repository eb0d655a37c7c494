// CRC-32C (Castagnoli), the checksum of checkpoint files and of TensorBoard records. It finds damage, not
// malice. Uses the processor's crc32 instruction where there is one (about 6 GB/s), else a table.
#pragma once

#include <cstddef>
#include <cstdint>

namespace engine {

/// The checksum of `bytes` bytes, or of a longer text when `crc` is the checksum of what came before.
uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0);

/// The portable form, for processors without the instruction and for the test that compares the two.
uint32_t crc32c_table(const void* data, size_t bytes, uint32_t crc = 0);

}  // namespace engine
