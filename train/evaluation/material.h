// What `eval ppl` scores: token shards, or texts read as `normlab prepare` reads them, so that a text gives
// the same number as the shards made of it. Read first: open_model.h, data/documents.h. Then:
// commands/eval.cc.
#pragma once

#include <memory>
#include <string>

#include "data/documents.h"
#include "train/open_model.h"
#include "train/perplexity.h"

namespace train {

struct Material {
  std::shared_ptr<const data::TokenStream> tokens;
  TextSize text;  // bytes 0: not known
  const char* kind = "";
};

/// A causal model reads each document behind its begin token, else behind the token that ends documents; a
/// masked LM reads lines as units, as `normlab prepare --units line` makes them. `path`: shards, a file of
/// any kind that prepare reads, a folder of such files, or - for standard input.
Material open_material(const std::string& path, const OpenModel& open, const data::ReadOptions& options);

}  // namespace train
