// Read first: settings.h.
#include "engine/cuda/host/settings.h"

#include <cstdlib>
#include <string>

#include "engine/base/check.h"

namespace engine::standin {
namespace {

uint32_t number_after(const std::string& word, const char* key) {
  const std::string digits = word.substr(std::string(key).size());
  check(!digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos,
        "NORMLAB_CUDA_HOST: expected a number after '", key, "', got '", word, "'");
  return uint32_t(std::stoul(digits));
}

Settings from_environment() {
  Settings s;
  const char* text = std::getenv("NORMLAB_CUDA_HOST");
  std::string rest = text ? text : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string word = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    if (word == "forward") {
      s.schedule = Schedule::forward;
    } else if (word == "reverse") {
      s.schedule = Schedule::reverse;
    } else if (word.starts_with("random=")) {
      s.schedule = Schedule::random, s.seed = number_after(word, "random=");
    } else if (word.starts_with("workers=")) {
      s.workers = int(number_after(word, "workers="));
      check(s.workers >= 1 && s.workers <= 256, "NORMLAB_CUDA_HOST: expected 1 to 256 workers, got ",
            s.workers);
    } else if (word.starts_with("memory=")) {
      s.memory = uint64_t(number_after(word, "memory=")) << 20;
    } else if (word == "unchecked") {
      s.check = false;
    } else {
      fail(
          "NORMLAB_CUDA_HOST: expected forward, reverse, random=SEED, workers=N, memory=MIB or unchecked, "
          "got '",
          word, "'");
    }
  }
  return s;
}

}  // namespace

Settings& settings() {
  static Settings s = from_environment();
  return s;
}

}  // namespace engine::standin
