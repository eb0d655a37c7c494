// Read first: generation.h.
#include "models/generation.h"

#include <algorithm>
#include <cmath>

namespace models {

using engine::check;

// ------------------------------------------------------------------------------------------------ decoder

Decoder::Decoder(const Transformer& model, int64_t slide)
    : model_(model), slide_(slide), cache_(model.make_cache(1, model.config().context)) {
  check(model.config().causal(), "generate: the model's objective is ",
        objective_names[size_t(model.config().objective)], "; only a clm model continues text");
  check(slide >= 1 && slide <= model.config().context, "generate: slide ", slide,
        " must be from 1 to the model's context of ", model.config().context);
}

void Decoder::set_cached(int64_t length) {
  for (nn::KvCache& layer : cache_) layer.length = length;
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

std::vector<double> Decoder::read(std::span<const int32_t> ids) {
  check(!ids.empty(), "generate: no tokens to read (an empty prompt needs a begin-of-text token)");
  const int64_t vocabulary = model_.config().vocab_size;
  for (const int32_t id : ids)
    check(id >= 0 && id < vocabulary, "generate: token ", id, " is outside the model's vocabulary of ",
          vocabulary);
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  const int64_t context = model_.config().context;
  if (cached() + int64_t(ids.size()) <= context) return forward(ids);
  // Full: keep as many whole slides as leave at most `context` tokens, and read them from position 0.
  const int64_t excess = int64_t(tokens_.size() - dropped_) - context;
  dropped_ += size_t((excess + slide_ - 1) / slide_ * slide_);
  dropped_ = std::min(dropped_, tokens_.size() - 1);
  set_cached(0);
  return forward(std::span<const int32_t>(tokens_).subspan(dropped_));
}

void Decoder::rewind(size_t length) {
  check(length >= 1 && length <= tokens_.size(), "generate: cannot go back to ", length, " of ",
        tokens_.size(), " tokens");
  tokens_.resize(length);
  if (dropped_ == 0) return set_cached(int64_t(length));
  const size_t context = size_t(model_.config().context);
  dropped_ = length > context ? (length - context + size_t(slide_) - 1) / size_t(slide_) * size_t(slide_) : 0;
  dropped_ = std::min(dropped_, length - 1);
  set_cached(0);
  forward(std::span<const int32_t>(tokens_).subspan(dropped_));
}

// ----------------------------------------------------------------------------------------------- sampling

namespace {

void check_sampling(const Sampling& s) {
  check(s.temperature >= 0 && std::isfinite(s.temperature), "generate: temperature ", s.temperature,
        " must be 0 or more");
  check(s.top_k >= 0, "generate: top-k ", s.top_k, " must be 0 (all) or more");
  check(s.top_p > 0 && s.top_p <= 1, "generate: top-p ", s.top_p, " must be above 0 and at most 1");
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
  // Top-p keeps the token that reaches p: there is always one.
  double total = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    total += out[i].probability;
    if (total >= sampling.top_p * sum) out.resize(i + 1);
  }
  for (Candidate& c : out) c.probability /= total;
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
    const size_t vocabulary = options.vocabulary > 0 ? size_t(options.vocabulary) : logits.size();
    const std::span<const double> real =
        std::span<const double>(logits).first(std::min(vocabulary, logits.size()));
    const int32_t id = sample_token(real, options.sampling, rng);
    if (std::find(options.stops.begin(), options.stops.end(), id) != options.stops.end()) return n;
    if (!on_token(id)) return n + 1;
    if (n + 1 < options.max_tokens) logits = decoder.read({&id, 1});
  }
  return options.max_tokens;
}

}  // namespace models
