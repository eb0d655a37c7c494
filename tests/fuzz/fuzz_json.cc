// Fuzzing JSON: what is read can be written and read again, and is the same.
#include "engine/base/json.h"
#include "fuzz.h"

std::vector<std::string> fuzz_seeds() {
  return {R"({"a": [1, -2.5e3, "x\u00e9\n", true, null, {"b": {}}], "c": 18446744073709551615})",
          R"([[[[[[[["deep"]]]]]]]])", R"({"a": 1, "a": 2})", "\"\xF0\x9F\x98\x80\""};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string text(input_text(bytes, size));
  fuzz_one([&] { engine::parse_sorted_json(text, "fuzz"); });
  return fuzz_one([&] {
    const engine::Json json = engine::parse_json(text, "fuzz");
    const std::string written = json.dump();
    require(again([&] { return engine::parse_json(written, "again"); }).dump() == written);
    fuzz_one([&] { engine::json_int(json, "fuzz", -1000, 1000); });
    fuzz_one([&] { engine::json_number(json, "fuzz"); });
    fuzz_one([&] { engine::check_keys(json, {"a", "b"}, "fuzz"); });
  });
}
