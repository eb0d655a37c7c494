// Text from a causal model, token by token: a decoder that keeps keys and values of what it has read, and the
// draw of the next token from its logits. Everything here is ids; text is the tokenizer's business.
//
//   Decoder decoder(model);
//   logits = decoder.read(prompt);                    // the whole prompt in one pass
//   id = sample_token(logits, sampling, rng);         // then one token at a time
//   logits = decoder.read({id}); ...
//
// Read first: transformer.h, nn/context.h.
#pragma once

#include <functional>
#include <span>

#include "engine/base/philox.h"
#include "models/transformer.h"

namespace models {

using Ids = std::vector<int32_t>;

/// Reads tokens of one sequence and gives the logits after the last one. Keys and values are cached, so a
/// token costs one position. When the model's context is full the oldest tokens are dropped and the rest is
/// read again, because every position moved: the model always sees the last tokens at positions 0, 1, ... So
/// is a row whose angles change because it grew (long_rows_from).
class Decoder {
 public:
  /// `slide`: tokens dropped at a time when the context is full. 1 keeps all of the context and reads it
  /// again for every token; more is faster and sees less.
  explicit Decoder(const Transformer& model, int64_t slide = 1);

  /// Appends tokens; the V logits after the last one. Error: no tokens, or ids outside the vocabulary.
  std::vector<double> read(std::span<const int32_t> ids);
  /// Forgets all but the first `length` tokens that were read. Free while the context was never full.
  void rewind(size_t length);

  const Ids& tokens() const { return tokens_; }

 private:
  friend class BatchReader;
  std::vector<double> forward(std::span<const int32_t> ids);
  int64_t cached() const { return cache_.front().length; }
  /// Whether the cache serves a row of so many tokens.
  bool serves(int64_t length) const;
  void set_cached(int64_t length);
  void check_ids(std::span<const int32_t> ids) const;

  const Transformer& model_;
  int64_t slide_;
  std::vector<nn::KvCache> cache_;
  Ids tokens_;          // all that was read
  size_t dropped_ = 0;  // how many of them the cache no longer holds
};

/// Reads one token for each of several decoders of one model at a time: the weights are read once for all of
/// them. Each keeps its own length, positions and cache, so nothing is padded, and `width` rows are computed
/// however many there are: what a row gives depends on the width, but on no other row (in a mixture of
/// experts it does, by rounding: how many tokens an expert has decides how its product is summed).
class BatchReader {
 public:
  BatchReader(const Transformer& model, int64_t width);

  /// decoders.size() == ids.size() <= width. The logits of each.
  std::vector<std::vector<double>> read(std::span<Decoder* const> decoders, std::span<const int32_t> ids);

 private:
  const Transformer& model_;
  int64_t width_;
};

struct Sampling {
  double temperature = 1;  // 0: always the most likely token
  int64_t top_k = 0;       // draw among the k most likely; 0: all
  double top_p = 1;        // then among the fewest whose probabilities add up to p (Holtzman et al. 2020)
  /// Logits of tokens that stand in the text so far are divided by this where positive, else multiplied
  /// (Keskar et al. 2019, arXiv 1909.05858, section 4.1). 1: no change.
  double repetition_penalty = 1;
};

/// Token probabilities after temperature, top-k and top-p, most likely first; equal logits by id. The
/// probabilities of those kept add up to 1.
struct Candidate {
  int32_t id = 0;
  double probability = 0;
};
std::vector<Candidate> candidates(std::span<const double> logits, const Sampling& sampling);

/// The logits with the repetition penalty on the tokens of `text`.
std::vector<double> penalised(std::span<const double> logits, double penalty, std::span<const int32_t> text);

/// Draws one token; advances `rng` also when temperature is 0, so that a draw is always one number.
int32_t sample_token(std::span<const double> logits, const Sampling& sampling, engine::Rng& rng);

struct GenerateOptions {
  Sampling sampling;
  int64_t max_tokens = 200;
  int64_t vocabulary = 0;  // ids from here on are padding and never drawn; 0: none
  Ids stops;               // tokens that end the text and are no part of it
};

/// Continues what `decoder` has read, whose last logits are given; on_token sees each token and ends the
/// text early by returning false. Returns the number of tokens generated.
int64_t generate(Decoder& decoder, std::vector<double> logits, const GenerateOptions& options,
                 engine::Rng& rng, const std::function<bool(int32_t)>& on_token);

/// How a text ended: at one of the stops, because on_token said so, or because it has its max_tokens.
enum class TextEnd { stop, caller, length };

/// Text `sample` of prompt `prompt`; its draws are those of Rng{seed, sample * 2^32}.
struct TextJob {
  size_t prompt = 0, sample = 0;
};
struct BatchOptions {
  GenerateOptions each;
  int64_t width = 1;  // texts that are continued together
  int64_t slide = 1;  // Decoder's
  uint64_t seed = 1;
};

/// Several texts, `width` at a time: when one ends the next begins. Prompts are read one by one. on_token and
/// on_end name the job by its place in `jobs`; on_token returns false to end its text. Returns the number of
/// tokens. `stopped` is asked before every step and ends everything.
int64_t generate_all(const Transformer& model, const std::vector<Ids>& prompts,
                     const std::vector<TextJob>& jobs, const BatchOptions& options,
                     const std::function<bool(size_t job, int32_t id)>& on_token,
                     const std::function<void(size_t job, TextEnd)>& on_end,
                     const std::function<bool()>& stopped);

}  // namespace models
