// Perplexity of a token stream under a model: how the stream is cut into windows, and what a token's loss is
// divided by. `normlab eval ppl` is its command line.
//
// Every token but the first is scored exactly once, from the tokens before it in its window:
//   blocked   windows of `context` tokens side by side; the tokens early in a window see little
//   strided   windows overlap: each scores `stride` tokens, which see at least context - stride tokens
// A strided window of stride = context is a blocked one. Read first: run_data.h. Then: commands/eval.cc.
#pragma once

#include <functional>

#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "models/transformer.h"

namespace train {

struct Windows {
  int64_t context = 0, stride = 0;  // 1 <= stride <= context
  int64_t batch = 8;                // windows computed together
};

struct LossSum {
  double nats = 0;  // over all scored tokens
  int64_t scored = 0;
};

/// Of a causal model. `vocabulary`: columns of the head from here on are padding. `progress` is told how many
/// tokens are scored so far.
LossSum causal_loss(const models::Transformer& model, const data::TokenStream& tokens, const Windows& windows,
                    int64_t vocabulary, const std::function<void(int64_t)>& progress = {});

/// Entropy in nats of the frequencies of the stream's ordinary tokens: the loss of the best model that looks
/// at no context. Special tokens are left out.
double unigram_entropy(const data::TokenStream& tokens, const data::Tokenizer* tokenizer);

/// What a text is made of, for losses per word and per byte. Words are separated by white space (ASCII).
struct TextSize {
  int64_t words = 0, bytes = 0;
};
TextSize text_size(std::string_view text);
/// Of the text that the stream's ordinary tokens spell.
TextSize text_size(const data::TokenStream& tokens, const data::Tokenizer& tokenizer);

}  // namespace train
