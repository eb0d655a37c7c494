// The kinds of norms and their names, apart from norm.h so that kernel files and the text of placements (nn)
// can have them without the tape.
#pragma once

#include <array>
#include <cstdint>

namespace engine {

enum class NormKind : uint8_t { none, ln, rms, dyt, l2 };
inline constexpr std::array<const char*, 5> norm_kind_names = {"none", "ln", "rms", "dyt", "l2"};

}  // namespace engine
