// Rows for masked language models: whole units (lines, sentences: see shards.h) packed until the next one
// would not fit, then masked afresh in every epoch. As in fairseq's `complete` break mode: units may come
// from several documents, each row begins with <s>, padding is on the right and attended to by nobody. A unit
// that is longer than a row is cut into rows (fairseq keeps it whole, and a model with learned positions then
// refuses it).
#pragma once

#include <memory>

#include "data/batches.h"
#include "data/masking.h"
#include "data/token_stream.h"

namespace data {

struct MlmOptions {
  int64_t length = 512;  // tokens in a row, <s> included
  int32_t begin = 0;     // <s>
  int32_t pad = 1;
  MaskRule mask;
  uint64_t seed = 0;
};

std::shared_ptr<const Rows> mlm_rows(std::shared_ptr<const TokenStream> tokens, const MlmOptions& options);

}  // namespace data
