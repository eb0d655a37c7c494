// SHA-256 (FIPS 180-4): what binds a token shard to its tokenizer and a corpus manifest to its files.
// Streaming, so that large files need no memory; for identity, not for secrets.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace engine {

class Sha256 {
 public:
  void update(const void* data, size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  /// The digest of everything so far; the object may not be used afterwards.
  std::array<uint8_t, 32> finish();
  /// The same as 64 lower-case hexadecimal digits.
  std::string finish_hex();

 private:
  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};
  uint64_t bytes_ = 0;
};

/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);
/// The same of a file, read in pieces.
std::string sha256_file(const std::string& path);

}  // namespace engine
