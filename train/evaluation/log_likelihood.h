// How likely a causal model finds given continuations: the sum of log-probabilities of their tokens, and
// whether each of them is the likeliest one.
//
// Requests come in families, whose token rows begin alike: the choices of one question. What a family shares
// is read once and its keys and values are kept; then each member's rest is read behind a copy of them. So a
// question with four answers costs its context once, and batches are of one length of context. Only the rows
// of scored positions go through the head. A score depends on its request alone, up to rounding: not on
// the batch, and not at all on the number of threads. Read first: models/transformer.h, nn/context.h.
#pragma once

#include <functional>
#include <vector>

#include "models/transformer.h"

namespace train {

/// Token ids of context and continuation; the last `scored` ones are the continuation.
struct ScoreRequest {
  std::vector<int32_t> ids;
  int64_t scored = 0;
};
using ScoreFamily = std::vector<ScoreRequest>;

struct LogLikelihood {
  double sum = 0;       // nats; NaN where the model's logits are no numbers
  bool greedy = false;  // each scored id is the arg max of its row (the lowest id on a tie)
};

struct ScoreOptions {
  int64_t context = 0;     // the model reads at most the last `context` ids before the last one
  int64_t vocabulary = 0;  // columns of the head from here on are padding
  int64_t batch = 8;       // rows read together
  /// Called when members of these families have been scored; false stops.
  std::function<bool(const std::vector<size_t>& families)> on_scored;
};

/// Of each member of each family, in the order given; families that a stop left out are empty. Errors: a
/// member without scored ids, without context, or with more scored ids than `context`; an id outside the
/// vocabulary.
std::vector<std::vector<LogLikelihood>> log_likelihoods(const models::Transformer& model,
                                                        const std::vector<ScoreFamily>& families,
                                                        const ScoreOptions& options);

}  // namespace train
