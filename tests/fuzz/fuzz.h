// What the fuzz targets share. Hostile input must end in engine::Error or be read; a crash, a leak, undefined
// behaviour, a hang, an absurd allocation or any other exception is a finding. Each target keeps its first
// inputs as text in its own source: fuzz_main.cc writes them where run.py asks for them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"

/// The inputs that a target starts from.
std::vector<std::string> fuzz_seeds();

/// A file in memory (/dev/shm where there is one) that holds these bytes; one for each name and process,
/// overwritten by the next input.
std::string input_file(std::string_view bytes, const std::string& name = "input");

/// `input` cut at zero bytes into exactly `n` parts; the last one has the rest, missing ones are empty.
std::vector<std::string_view> input_parts(std::string_view input, size_t n);

/// A literal with zero bytes in it.
template <size_t n>
std::string byte_text(const char (&literal)[n]) {
  return {literal, n - 1};
}

inline std::string_view input_text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

/// A property that must hold for what was accepted.
inline void require(bool holds) {
  if (!holds) std::abort();
}

/// Reads what the program itself has written: an Error is a finding here.
template <class Read>
auto again(const Read& read) {
  try {
    return read();
  } catch (const engine::Error&) {
    std::abort();
  }
}

/// Runs `read`; engine::Error is the right answer to bad input.
template <class Read>
int fuzz_one(const Read& read) {
  try {
    read();
  } catch (const engine::Error&) {
  }
  return 0;
}
