// A classifier on the body of another model: a pretrained masked LM whose head is replaced, or a classifier whose
// head is kept or begun anew. Read first: transformer.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/transformer.h"

namespace models {

/// What the head's two layers begin with. uniform: weights and biases in ±1/sqrt(fan in), torch's Linear and
/// fairseq's head; normal: N(0, 0.02), biases 0, transformers' head; kept: the source's own.
enum class HeadInit { uniform, normal, kept };

struct ClassifierHead {
  int64_t classes = 2;             // 1: regression
  std::vector<std::string> names;  // of the classes; or empty
  HeadInit init = HeadInit::uniform;
  uint64_t seed = 0;
};

/// Embeddings, layers and final norm of `source`, and the head. Error: `source` is causal; a head is to be kept
/// where there is none, or one of other classes.
std::unique_ptr<Transformer> make_classifier(const Transformer& source, const ClassifierHead& head,
                                             const nn::Precision& precision);

}  // namespace models
