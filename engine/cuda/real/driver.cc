// Read first: driver.h.
#include "engine/cuda/real/driver.h"

#include <algorithm>
#include <iterator>

#include "engine/base/check.h"
#include "engine/cuda/real/driver_functions.h"

namespace engine::cuda {

Driver find_driver(const SharedLibrary& library) {
  Driver driver{};
#define ENGINE_FIND(member, symbol) library.find(driver.member, #symbol);
  ENGINE_DRIVER_FUNCTIONS(ENGINE_FIND)
#undef ENGINE_FIND
  return driver;
}

std::string describe(const Driver& driver, int result) {
  const char *name = nullptr, *text = nullptr;
  if (driver.error_name(result, &name) != kSuccess || !name) return join_text("error ", result);
  if (driver.error_text(result, &text) != kSuccess || !text) return name;
  return join_text(name, ": ", text);
}

bool is_lost(int result) {
  // Unavailable; uncorrectable memory or link errors; contained; illegal address, time-out, failed assertion,
  // hardware stack, illegal instruction, misaligned, wrong space, wrong program counter, failed launch;
  // unknown.
  constexpr int lost[] = {4, 46, 214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 999};
  return std::find(std::begin(lost), std::end(lost), result) != std::end(lost);
}

}  // namespace engine::cuda
