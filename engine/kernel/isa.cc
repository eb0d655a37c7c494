// Read first: isa.h.
#include "engine/kernel/isa.h"

#include <cstdlib>
#include <string>

#include "engine/base/check.h"

namespace engine::cpu {
namespace {

const char* const kNames[] = {"base", "avx2", "avx512"};
const char* const kBf16Names[] = {"widened", "pairs", "emulated_pairs"};

bool supported(Isa level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(ENGINE_HAS_avx2)
  if (level == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#if defined(ENGINE_HAS_avx512)
  if (level == Isa::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
#endif
#endif
  return level == Isa::base;
}

Isa choose() {
  if (const char* forced = std::getenv("NORMLAB_ISA"); forced && *forced) {
    for (int i = 0; i < 3; ++i) {
      if (std::string(forced) != kNames[i]) continue;
      check(supported(Isa(i)), "NORMLAB_ISA=", forced,
            ": this processor or this build does not have that level");
      return Isa(i);
    }
    fail("NORMLAB_ISA=", forced, ": expected base, avx2 or avx512");
  }
  for (Isa level : {Isa::avx512, Isa::avx2})
    if (supported(level)) return level;
  return Isa::base;
}

bool supported(Bf16Product way) {
  if (way == Bf16Product::widened) return true;
  if (isa() != Isa::avx512) return false;
#if defined(__x86_64__)
  return way == Bf16Product::emulated_pairs || __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Bf16Product choose_bf16_product() {
  if (const char* forced = std::getenv("NORMLAB_BF16"); forced && *forced) {
    for (int i = 0; i < 3; ++i) {
      if (std::string(forced) != kBf16Names[i]) continue;
      check(supported(Bf16Product(i)), "NORMLAB_BF16=", forced, ": this processor or level cannot do that");
      return Bf16Product(i);
    }
    fail("NORMLAB_BF16=", forced, ": expected widened, pairs or emulated_pairs");
  }
  return supported(Bf16Product::pairs) ? Bf16Product::pairs : Bf16Product::widened;
}

}  // namespace

Isa isa() {
  static const Isa level = choose();
  return level;
}

const char* name_of(Isa level) { return kNames[int(level)]; }

Bf16Product bf16_product() {
  static const Bf16Product way = choose_bf16_product();
  return way;
}

// Never throws, because it runs before main: a wrong NORMLAB_BF16 is reported by bf16_product().
static bool choose_bf16_rounding() {
#if defined(__x86_64__)
  const char* forced = std::getenv("NORMLAB_BF16");
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") && (!forced || !*forced || std::string(forced) == "pairs");
#else
  return false;
#endif
}
const bool bf16_rounding = choose_bf16_rounding();

const char* name_of(Bf16Product way) { return kBf16Names[int(way)]; }

}  // namespace engine::cpu
