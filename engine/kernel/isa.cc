// Read first: isa.h.
#include "engine/kernel/isa.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include "engine/base/check.h"

namespace engine::cpu {
namespace {

const char* const kNames[] = {"base", "avx2", "avx512"};
const char* const kBf16Names[] = {"widened", "pairs", "amx", "emulated_pairs", "emulated_amx"};

bool supported(Isa level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(ENGINE_HAS_avx2)
  if (level == Isa::avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
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

constexpr int kWays = 5;

#if defined(__x86_64__)
/// Whether the processor has tiles with bf16 products and the system lets this process use them. The
/// permission is the process's: threads that begin later have it too.
bool may_use_tiles() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (kBf16 | kTile)) != (kBf16 | kTile)) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool made_by(const char* vendor) {
  unsigned a = 0, words[3] = {};
  return __get_cpuid(0, &a, &words[0], &words[2], &words[1]) && std::memcmp(words, vendor, 12) == 0;
}

// The same instruction for sixteen independent sums. (This file is compiled for any x86-64: no compiler's
// variable lives in zmm31.)
#define SIXTEEN_SUMS(instruction)                                                                         \
  asm volatile(".irp sum, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t" instruction           \
               " %%zmm31, %%zmm31, %%zmm\\sum\n\t.endr"                                                   \
               :                                                                                          \
               :                                                                                          \
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                 "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
/// Seconds of many rounds.
template <class F>
double seconds_of(const F& round) {
  asm volatile("vpxorq %%zmm31, %%zmm31, %%zmm31" : :);
  SIXTEEN_SUMS("vpxorq");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 4000; ++i) round();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
/// Whether VDPBF16PS, which multiplies two numbers a lane, is begun as often as a multiply-add of f32. It is,
/// or it is begun half as often or less: so that the answer is the same on a busy machine, the best of many
/// short samples taken in turn decide, and the limit lies between the two.
bool pairs_are_fast() {
  double pairs = 1, singles = 1;
  for (int i = 0; i < 40; ++i) {
    singles = std::min(singles, seconds_of([] { SIXTEEN_SUMS("vfmadd231ps"); }));
    pairs = std::min(pairs, seconds_of([] { SIXTEEN_SUMS("vdpbf16ps"); }));
  }
  asm volatile("vzeroupper");
  return pairs < 1.4 * singles;
}
#undef SIXTEEN_SUMS
#endif

struct Choice {
  Bf16Product way;
  const char* reason;
};

Choice choose_bf16_product() {
  if (const char* forced = std::getenv("NORMLAB_BF16"); forced && *forced) {
    for (int i = 0; i < kWays; ++i) {
      if (std::string(forced) != kBf16Names[i]) continue;
      check(supported(Bf16Product(i)), "NORMLAB_BF16=", forced, ": this processor or level cannot do that");
      return {Bf16Product(i), "NORMLAB_BF16 says so"};
    }
    fail("NORMLAB_BF16=", forced, ": expected widened, pairs, amx, emulated_pairs or emulated_amx");
  }
  if (supported(Bf16Product::amx)) return {Bf16Product::amx, "the fastest wherever there is AMX"};
  if (!supported(Bf16Product::pairs)) return {Bf16Product::widened, "nothing else is there"};
#if defined(__x86_64__)
  if (made_by("AuthenticAMD")) return {Bf16Product::pairs, "AMD forms pairs at full speed"};
  if (pairs_are_fast()) return {Bf16Product::pairs, "measured: pairs go at full speed"};
#endif
  return {Bf16Product::widened, "measured: pairs go at half speed or less"};
}

const Choice& bf16_choice() {
  static const Choice choice = choose_bf16_product();
  return choice;
}

}  // namespace

Isa isa() {
  static const Isa level = choose();
  return level;
}

const char* name_of(Isa level) { return kNames[int(level)]; }

bool supported(Bf16Product way) {
  if (way == Bf16Product::widened) return true;
  if (isa() != Isa::avx512) return false;
#if defined(__x86_64__)
  static const bool tiles = may_use_tiles();
  if (way == Bf16Product::amx) return tiles;
  return way != Bf16Product::pairs || __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Bf16Product bf16_product() { return bf16_choice().way; }
const char* bf16_product_reason() { return bf16_choice().reason; }

// Never throws, because it runs before main: a wrong NORMLAB_BF16 is reported by bf16_product().
static bool choose_bf16_rounding() {
#if defined(__x86_64__)
  const char* forced = std::getenv("NORMLAB_BF16");
  const std::string way = forced ? forced : "";
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") && (way.empty() || way == "pairs" || way == "amx");
#else
  return false;
#endif
}
const bool bf16_rounding = choose_bf16_rounding();

const char* name_of(Bf16Product way) { return kBf16Names[int(way)]; }

}  // namespace engine::cpu
