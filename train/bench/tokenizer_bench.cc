// Read first: tokenizer_bench.h.
#include "train/bench/tokenizer_bench.h"

#include <algorithm>

#include "data/parallel.h"
#include "data/pretokenize.h"
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/clock.h"

namespace train {
namespace {

using engine::BenchResult;

/// Million bytes a second of work(prepare()), timed without prepare().
template <class Prepare, class Work>
double speed(size_t bytes, int repeats, const Prepare& prepare, const Work& work) {
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto input = prepare();
    seconds.push_back(engine::seconds_of([&] { work(input); }));
  }
  return double(bytes) / 1e6 / engine::median(seconds);
}

int nothing() { return 0; }

double cutting_speed(const std::string& text, int threads, int repeats) {
  return speed(text.size(), repeats, nothing, [&](int) {
    const auto parts = data::split_at_safe_places(text, size_t(256) << 10);
    std::vector<size_t> pieces(parts.size());
    data::parallel_pieces(parts.size(), threads, [&](size_t i) {
      data::for_each_piece(parts[i], [&](const uint8_t*, const uint8_t*) { ++pieces[i]; });
    });
  });
}

double copy_speed(const std::string& text, int repeats) {
  std::string copy(text.size(), ' ');
  return speed(text.size(), repeats, nothing,
               [&](int) { std::copy(text.begin(), text.end(), copy.begin()); });
}

}  // namespace

std::vector<BenchResult> bench_tokenizer(const std::string& text, const TokenizerBench& options) {
  engine::check(!text.empty(), "bench tokenizer: the text is empty");
  engine::check(options.vocab_size > 0 || !options.tokenizer.empty(),
                "bench tokenizer: nothing to do; give --tokenizer, --vocab-size or both");
  std::vector<BenchResult> out;
  const auto add = [&](const std::string& name, double value, double ceiling) {
    out.push_back({name, value, "MB/s", ceiling, value / ceiling});
  };
  const int threads = options.threads, repeats = options.repeats;
  const std::string on = " on " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  const double cutting = cutting_speed(text, threads, repeats);
  if (options.vocab_size > 0) {
    const std::string_view whole = text;
    add("train " + std::to_string(options.vocab_size) + " tokens" + on,
        speed(text.size(), repeats, nothing,
              [&](int) {
                data::train_tokenizer({&whole, 1}, {.vocab_size = options.vocab_size, .threads = threads});
              }),
        cutting);
  }
  if (options.tokenizer.empty()) return out;
  const auto known = data::load_tokenizer(options.tokenizer);
  const std::string json = known->to_json();
  const auto fresh = [&] { return data::parse_tokenizer(json, options.tokenizer); };
  const auto encode = [&](const auto& tokenizer) {
    tokenizer->encode(text, data::SpecialText::ordinary, threads);
  };
  add("encode" + on, speed(text.size(), repeats, fresh, encode), cutting);
  const std::vector<data::TokenId> ids = known->encode(text, data::SpecialText::ordinary, threads);
  add("encode again" + on,
      speed(
          text.size(), repeats, [&] { return known.get(); }, encode),
      cutting);
  add("decode", speed(text.size(), repeats, nothing, [&](int) { known->decode(ids); }),
      copy_speed(text, repeats));
  return out;
}

}  // namespace train
