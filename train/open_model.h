// A model and its tokenizer for the commands that use one: --model takes a model directory, a checkpoint, a
// run (its best checkpoint) or a Hugging Face directory. Read first: checkpoint_dir.h, models/hf/import.h.
#pragma once

#include <memory>
#include <string>

#include "data/tokenizer.h"
#include "models/companions.h"
#include "models/generation.h"

namespace train {

struct OpenModel {
  std::string folder;  // the directory that was read, a run resolved to its checkpoint
  std::unique_ptr<models::Transformer> model;
  std::unique_ptr<data::Tokenizer> tokenizer;  // null when the directory has none
  models::TextTokens named;  // by the files beside the weights; ids outside the vocabulary are left out
  int64_t vocabulary = 0;    // ids that mean something: the tokenizer's; the model's may be padded beyond
};

/// The architecture of a model directory, of ours or of Hugging Face's, without its weights.
models::ModelConfig config_of_model(const std::string& folder);

/// One line when `tokenizer`, read from `named`, differs from the one that lies beside the weights in
/// `model`.
void warn_of_other_tokenizer(const data::Tokenizer& tokenizer, const std::string& named,
                             const std::string& model);

/// `tokenizer`: a folder or file to use in place of the model's own; "" for its own.
OpenModel open_model(const std::string& path, const nn::Precision& precision,
                     const std::string& tokenizer = "", nn::Gradients gradients = nn::Gradients::none);

/// The tokenizer, or an error that says which file is missing.
const data::Tokenizer& text_tokenizer(const OpenModel& model);

/// What stands before a text: the tokens that the tokenizer's post-processor puts there, else the model's
/// begin token; empty where neither is said.
models::Ids begin_of_text(const OpenModel& model);
/// The tokens of the post-processor alone: what transformers puts before a prompt.
models::Ids begin_of_prompt(const data::Tokenizer& tokenizer);
/// The tokens that end a text: those that the model's files name, else the tokenizer's own.
models::Ids ends_of_text(const OpenModel& model);

}  // namespace train
