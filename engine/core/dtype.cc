// Read first: dtype.h.
#include "engine/core/dtype.h"

#include "engine/base/text.h"

namespace engine {
namespace {
const char* const kNames[] = {"f64", "f32", "bf16", "f16", "i32", "i64", "u8"};
}

const char* name_of(DType dtype) { return kNames[int(dtype)]; }

DType parse_dtype(const std::string& text) {
  for (int i = 0; i < 7; ++i)
    if (text == kNames[i]) return DType(i);
  fail("unknown dtype \"", text, "\" (expected ", one_of({kNames, kNames + 7}), ")");
}

}  // namespace engine
