// Read first: sample.h.
#include "train/sample.h"

#include <algorithm>

#include "data/utf8_stream.h"
#include "engine/base/check.h"
#include "engine/base/stop.h"
#include "models/fill_mask.h"
#include "models/generation.h"
#include "train/open_model.h"

namespace train {
namespace {

std::string text_of(const data::Tokenizer& tokenizer, const models::Ids& ids) {
  return data::well_formed(tokenizer.decode(std::vector<data::TokenId>(ids.begin(), ids.end())));
}

models::Ids ids_of(const std::vector<data::TokenId>& ids) { return {ids.begin(), ids.end()}; }

data::TokenId end_token(const data::Tokenizer& tokenizer) {
  const bool words = tokenizer.kind() == data::TokenizerKind::word;  // its <eos> is a line end
  return words ? data::no_token : tokenizer.roles().end;
}

std::string continued(const models::Transformer& model, const data::Tokenizer& tokenizer,
                      const SampleOptions& options) {
  models::Ids start = begin_of_prompt(tokenizer);
  const models::Ids prompt = ids_of(tokenizer.encode(options.prompt));
  start.insert(start.end(), prompt.begin(), prompt.end());
  const data::TokenId end = end_token(tokenizer);
  if (start.empty())
    start = end != data::no_token ? models::Ids{int32_t(end)} : ids_of(tokenizer.encode("\n"));
  engine::check(!start.empty(), "sample: the tokenizer has nothing to begin a text with");
  models::Decoder decoder(model, std::max<int64_t>(1, model.config().context / 2));
  engine::Rng rng{options.seed, 0};
  models::Ids all = prompt;
  models::generate(decoder, decoder.read(start),
                   {.sampling = {.temperature = options.temperature, .top_k = options.top_k, .top_p = 1},
                    .max_tokens = options.tokens,
                    .vocabulary = int64_t(tokenizer.vocab_size()),
                    .stops = end == data::no_token ? models::Ids() : models::Ids{int32_t(end)}},
                   rng, [&](int32_t id) {
                     all.push_back(id);
                     return !engine::stop_requested();
                   });
  return text_of(tokenizer, all);
}

std::string filled(const models::Transformer& model, const data::Tokenizer& tokenizer,
                   const SampleOptions& options) {
  constexpr size_t every = 7;
  const data::TokenId mask = tokenizer.roles().mask, begin = tokenizer.roles().begin;
  engine::check(mask != data::no_token, "sample: the tokenizer has no mask token");
  models::Ids ids;
  if (begin != data::no_token) ids.push_back(int32_t(begin));
  const size_t first = ids.size();
  for (const int32_t id : options.ids.empty() ? ids_of(tokenizer.encode(options.prompt)) : options.ids)
    if (int64_t(ids.size()) < model.config().context) ids.push_back(id);
  models::Ids masked = ids;
  for (size_t i = first + every - 1; i < ids.size(); i += every) masked[i] = int32_t(mask);
  if (masked == ids) return {};
  models::Ids best = masked;
  for (const models::FilledMask& m : models::fill_mask(
           model, masked, {.mask = int32_t(mask), .top = 1, .vocabulary = int64_t(tokenizer.vocab_size())}))
    best[size_t(m.position)] = m.candidates.front().id;
  const auto shown = [&](models::Ids row) {
    row.erase(row.begin(), row.begin() + ptrdiff_t(first));
    return text_of(tokenizer, row);
  };
  return "text    " + shown(ids) + "\nmasked  " + shown(masked) + "\nfilled  " + shown(best);
}

}  // namespace

std::string sample_text(const models::Transformer& model, const data::Tokenizer& tokenizer,
                        const SampleOptions& options) {
  const engine::TapeScope off(nullptr);
  return model.config().causal() ? continued(model, tokenizer, options) : filled(model, tokenizer, options);
}

}  // namespace train
