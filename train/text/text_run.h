// `normlab train --text`: from a text to the config of a run on it, with tokenizer and token shards beside.
// The choices are those of text_plan.h. Read first: text_plan.h, data/corpus.h, data/prepare.h.
#pragma once

#include <string>
#include <vector>

#include "engine/base/json.h"

namespace train {

struct TextRequest {
  std::vector<std::string> texts;  // files, folders, names of corpora, or - for standard input
  std::string field;               // key of the text in JSON objects; "": text
  std::string folder;              // where text/, tokenizer/ and tokens/ go
  engine::Json given;              // what config file and --set say: it wins over the rules
  int64_t ranks = 1, ranks_here = 1;  // that will train; those on this machine
  int64_t threads = 0;                // of each, where `given` does not say; 0: all
};

/// Splits the text into FOLDER/text (unless a folder is split by its files' names), learns FOLDER/tokenizer
/// (unless data.tokenizer or `from` bring one), and makes FOLDER/tokens. Returns the whole config, and says
/// on stderr what was chosen. What an attempt that was stopped has left is made anew.
engine::Json make_text_run(const TextRequest& request);

/// What a finished run on a text has to show: the loss on text that was held out, and what the model writes.
/// RUN/test.json and RUN/sample.txt; {"test": ..., "sample": ...}.
engine::Json show_text_run(const std::string& run);
/// Whether --text made this run.
bool is_text_run(const std::string& run);

}  // namespace train
