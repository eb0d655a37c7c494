// Speed of a byte-pair tokenizer on one text: `normlab bench tokenizer`. Read first: data/tokenizer.h,
// engine/bench/result.h. tests/bench/compare_tokenizers.py sets the same work of other programs beside it.
#pragma once

#include <string>
#include <vector>

#include "engine/bench/result.h"

namespace train {

struct TokenizerBench {
  std::string tokenizer;  // folder or tokenizer.json; "" leaves encode and decode out
  size_t vocab_size = 0;  // to learn; 0 leaves training out
  int threads = 1, repeats = 5;
};

/// Million bytes of text a second, the median of `repeats`: learning, encoding with a cache that knows no
/// piece yet, encoding again, and decoding (on one thread). The ceiling of the first three is cutting the
/// text into pieces alone, on as many threads; of the last, a copy of the text.
std::vector<engine::BenchResult> bench_tokenizer(const std::string& text, const TokenizerBench& options);

}  // namespace train
