// Read first: generation.h.
#include "models/generation.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>

namespace models {

using engine::check;

// ------------------------------------------------------------------------------------------------ decoder

Decoder::Decoder(const Transformer& model, int64_t slide)
    : model_(model),
      slide_(slide),
      cache_(model.make_cache(1, std::min<int64_t>(model.config().context, 256))) {
  check(model.config().causal(), "generate: the model's objective is ",
        objective_names[size_t(model.config().objective)], "; only a clm model continues text");
  check(slide >= 1 && slide <= model.config().context, "generate: slide ", slide,
        " must be from 1 to the model's context of ", model.config().context);
}

void Decoder::set_cached(int64_t length) {
  for (nn::KvCache& layer : cache_) layer.length = length;
}

bool Decoder::serves(int64_t length) const {
  const int64_t limit = long_rows_from(model_.config());
  return length <= model_.config().context && (cached() == 0 || (cached() > limit) == (length > limit));
}

std::vector<double> Decoder::forward(std::span<const int32_t> ids) {
  const engine::TapeScope off(nullptr);
  nn::Context context = model_.context();
  context.cache = &cache_;
  const int64_t n = int64_t(ids.size());
  const Tokens tokens{.ids = Tensor::from_ids({ids.begin(), ids.end()}, {1, n})};
  const Tensor hidden = model_.hidden(tokens, context);
  return model_.logits(hidden.slice(1, n - 1, n)).to_vector();
}

void Decoder::check_ids(std::span<const int32_t> ids) const {
  const int64_t vocabulary = model_.config().vocab_size;
  for (const int32_t id : ids)
    check(id >= 0 && id < vocabulary, "generate: token ", id, " is outside the model's vocabulary of ",
          vocabulary);
}

std::vector<double> Decoder::read(std::span<const int32_t> ids) {
  check(!ids.empty(), "generate: no tokens to read (an empty prompt needs a begin-of-text token)");
  check_ids(ids);
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  const int64_t context = model_.config().context;
  if (serves(cached() + int64_t(ids.size()))) return forward(ids);
  // Full, or its angles change: keep as many whole slides as leave at most `context` tokens, and read them
  // from position 0.
  const int64_t excess = std::max<int64_t>(int64_t(tokens_.size() - dropped_) - context, 0);
  dropped_ += size_t((excess + slide_ - 1) / slide_ * slide_);
  dropped_ = std::min(dropped_, tokens_.size() - 1);
  set_cached(0);
  return forward(std::span<const int32_t>(tokens_).subspan(dropped_));
}

void Decoder::rewind(size_t length) {
  check(length >= 1 && length <= tokens_.size(), "generate: cannot go back to ", length, " of ",
        tokens_.size(), " tokens");
  tokens_.resize(length);
  if (dropped_ == 0 && serves(int64_t(length))) return set_cached(int64_t(length));
  const size_t context = size_t(model_.config().context);
  dropped_ = length > context ? (length - context + size_t(slide_) - 1) / size_t(slide_) * size_t(slide_) : 0;
  dropped_ = std::min(dropped_, length - 1);
  set_cached(0);
  forward(std::span<const int32_t>(tokens_).subspan(dropped_));
}

// ------------------------------------------------------------------------------------------------ batches

BatchReader::BatchReader(const Transformer& model, int64_t width) : model_(model), width_(width) {
  check(width >= 1, "generate: batches of ", width, " texts");
}

std::vector<std::vector<double>> BatchReader::read(std::span<Decoder* const> decoders,
                                                   std::span<const int32_t> ids) {
  check(decoders.size() == ids.size() && int64_t(ids.size()) <= width_, "generate: ", ids.size(),
        " tokens for ", decoders.size(), " texts, in batches of ", width_);
  std::vector<std::vector<double>> logits(decoders.size());
  std::vector<int32_t> batch(size_t(width_), 0);
  nn::RowCaches rows(size_t(width_), nullptr);
  bool any = false;
  for (size_t i = 0; i < decoders.size(); ++i) {
    Decoder& d = *decoders[i];
    if (!d.serves(d.cached() + 1)) {  // full: it moves, and is read again by itself
      logits[i] = d.read(ids.subspan(i, 1));
      continue;
    }
    d.check_ids(ids.subspan(i, 1));
    d.tokens_.push_back(ids[i]);
    batch[i] = ids[i], rows[i] = &d.cache_, any = true;
  }
  if (!any) return logits;
  const engine::TapeScope off(nullptr);
  nn::Context context = model_.context();
  context.rows = &rows;
  const Tensor hidden = model_.hidden({.ids = Tensor::from_ids(batch, {width_, 1})}, context);
  const std::vector<double> all = model_.logits(hidden).to_vector();
  const size_t V = size_t(model_.config().vocab_size);
  for (size_t i = 0; i < decoders.size(); ++i)
    if (rows[i] != nullptr)
      logits[i].assign(all.begin() + ptrdiff_t(i * V), all.begin() + ptrdiff_t((i + 1) * V));
  return logits;
}

// ----------------------------------------------------------------------------------------------- sampling

namespace {

void check_sampling(const Sampling& s) {
  check(s.temperature >= 0 && std::isfinite(s.temperature), "generate: temperature ", s.temperature,
        " must be 0 or more");
  check(s.top_k >= 0, "generate: top-k ", s.top_k, " must be 0 (all) or more");
  check(s.top_p > 0 && s.top_p <= 1, "generate: top-p ", s.top_p, " must be above 0 and at most 1");
}

/// The next token of a text, by its last logits.
int32_t next_token(std::span<const double> logits, const GenerateOptions& options,
                   std::span<const int32_t> text, engine::Rng& rng) {
  const size_t vocabulary = options.vocabulary > 0 ? size_t(options.vocabulary) : logits.size();
  const std::span<const double> real = logits.first(std::min(vocabulary, logits.size()));
  const double penalty = options.sampling.repetition_penalty;
  if (penalty == 1) return sample_token(real, options.sampling, rng);
  return sample_token(penalised(real, penalty, text), options.sampling, rng);
}

bool is_stop(const GenerateOptions& options, int32_t id) {
  return std::find(options.stops.begin(), options.stops.end(), id) != options.stops.end();
}

}  // namespace

std::vector<Candidate> candidates(std::span<const double> logits, const Sampling& sampling) {
  check_sampling(sampling);
  check(!logits.empty(), "generate: no logits to draw from");
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) {
    check(!std::isnan(logits[i]), "generate: the logit of token ", i, " is not a number");
    check(logits[i] != INFINITY, "generate: the logit of token ", i, " is infinite");
    order[i] = int32_t(i);
  }
  const bool greedy = sampling.temperature == 0;
  const size_t kept = greedy                ? 1
                      : sampling.top_k == 0 ? order.size()
                                            : std::min(order.size(), size_t(sampling.top_k));
  const auto before = [&](int32_t a, int32_t b) {
    return logits[size_t(a)] != logits[size_t(b)] ? logits[size_t(a)] > logits[size_t(b)] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + ptrdiff_t(kept), order.end(), before);
  check(logits[size_t(order[0])] != -INFINITY, "generate: every token's logit is -inf");
  if (greedy) return {{order[0], 1}};

  std::vector<Candidate> out;
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    const double z = (logits[size_t(order[i])] - logits[size_t(order[0])]) / sampling.temperature;
    out.push_back({order[i], std::exp(z)});
    sum += out.back().probability;
  }
  // Top-p keeps the token that reaches p: there is always one. 1 keeps all, also those too small for the sum.
  double total = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    total += out[i].probability;
    if (sampling.top_p < 1 && total >= sampling.top_p * sum) out.resize(i + 1);
  }
  for (Candidate& c : out) c.probability /= total;
  return out;
}

std::vector<double> penalised(std::span<const double> logits, double penalty, std::span<const int32_t> text) {
  check(penalty > 0 && std::isfinite(penalty), "generate: repetition penalty ", penalty, " must be above 0");
  std::vector<double> out(logits.begin(), logits.end());
  for (const int32_t id : std::set<int32_t>(text.begin(), text.end()))
    if (id >= 0 && size_t(id) < out.size()) out[size_t(id)] *= out[size_t(id)] < 0 ? penalty : 1 / penalty;
  return out;
}

int32_t sample_token(std::span<const double> logits, const Sampling& sampling, engine::Rng& rng) {
  const std::vector<Candidate> choices = candidates(logits, sampling);
  double u = rng.uniform();
  for (const Candidate& c : choices) {
    if (u < c.probability) return c.id;
    u -= c.probability;
  }
  return choices.back().id;  // rounding left a little of u
}

int64_t generate(Decoder& decoder, std::vector<double> logits, const GenerateOptions& options,
                 engine::Rng& rng, const std::function<bool(int32_t)>& on_token) {
  check(options.max_tokens >= 0, "generate: ", options.max_tokens, " tokens");
  for (int64_t n = 0; n < options.max_tokens; ++n) {
    const int32_t id = next_token(logits, options, decoder.tokens(), rng);
    if (is_stop(options, id)) return n;
    if (!on_token(id)) return n + 1;
    if (n + 1 < options.max_tokens) logits = decoder.read({&id, 1});
  }
  return options.max_tokens;
}

namespace {

/// A text that is being continued.
struct OpenText {
  size_t job = 0, prompt = 0;
  std::unique_ptr<Decoder> decoder;
  engine::Rng rng;
  std::vector<double> first;  // logits behind the prompt
  std::vector<double> logits;
  int64_t tokens = 0;
  int32_t next = 0;
};

/// `spare`: a text that has ended, whose prompt need not be read a second time. May be empty.
OpenText begin_text(const Transformer& model, const Ids& prompt, size_t index, const TextJob& job,
                    const BatchOptions& options, std::optional<OpenText>& spare) {
  OpenText text;
  if (spare && spare->prompt == job.prompt) {
    text = std::move(*spare);
    spare.reset();
    text.decoder->rewind(prompt.size());
  } else {
    text.decoder = std::make_unique<Decoder>(model, options.slide);
    text.first = text.decoder->read(prompt);
  }
  text.job = index, text.prompt = job.prompt, text.tokens = 0;
  text.rng = engine::Rng{options.seed, uint64_t(job.sample) << 32};
  text.logits = text.first;
  return text;
}

/// Draws the next token; how the text ended, if it did.
std::optional<TextEnd> advance(OpenText& text, const GenerateOptions& options,
                               const std::function<bool(size_t, int32_t)>& on_token) {
  if (text.tokens == options.max_tokens) return TextEnd::length;
  text.next = next_token(text.logits, options, text.decoder->tokens(), text.rng);
  if (is_stop(options, text.next)) return TextEnd::stop;
  ++text.tokens;
  if (!on_token(text.job, text.next)) return TextEnd::caller;
  return text.tokens == options.max_tokens ? std::optional(TextEnd::length) : std::nullopt;
}

}  // namespace

int64_t generate_all(const Transformer& model, const std::vector<Ids>& prompts,
                     const std::vector<TextJob>& jobs, const BatchOptions& options,
                     const std::function<bool(size_t job, int32_t id)>& on_token,
                     const std::function<void(size_t job, TextEnd)>& on_end,
                     const std::function<bool()>& stopped) {
  BatchReader reader(model, options.width);
  std::vector<OpenText> open;
  std::optional<OpenText> spare;
  int64_t total = 0;
  size_t next_job = 0;
  while (!stopped()) {
    while (int64_t(open.size()) < options.width && next_job < jobs.size()) {
      const TextJob& job = jobs[next_job];
      open.push_back(begin_text(model, prompts.at(job.prompt), next_job++, job, options, spare));
    }
    if (open.empty()) break;
    for (auto text = open.begin(); text != open.end();) {
      const int64_t before = text->tokens;
      const std::optional<TextEnd> end = advance(*text, options.each, on_token);
      total += text->tokens - before;
      if (!end) {
        ++text;
        continue;
      }
      on_end(text->job, *end);
      spare = std::move(*text);
      text = open.erase(text);
    }
    std::vector<Decoder*> decoders;
    Ids ids;
    for (OpenText& text : open) decoders.push_back(text.decoder.get()), ids.push_back(text.next);
    if (open.empty()) continue;
    std::vector<std::vector<double>> logits = reader.read(decoders, ids);
    for (size_t i = 0; i < open.size(); ++i) open[i].logits = std::move(logits[i]);
  }
  return total;
}

}  // namespace models
