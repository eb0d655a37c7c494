// Text, or other programs' token files, to sets of token shards: what `normlab prepare` does.
//
// Encoding runs on threads and the result does not depend on their number; a stopped run goes on where it
// was (shard_set.h). Texts and rules:
//
//   documents  (documents.h says how files are cut into them) are each followed by the end-of-document token;
//              a unit (for masked LMs) is a document with that token, or a line with it: RoBERTa's form, in
//              which each line is encoded alone, stripped, blank lines left out
//   raw        a file's tokens and nothing else, in order: for character-level models, perplexity of a file
//   llmc, nanogpt  token files of those programs, checked against the tokenizer's vocabulary
//
// Read first: tokenizer.h, shards.h. Read next: documents.h, shard_set.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/documents.h"
#include "data/shard_set.h"
#include "data/tokenizer.h"

namespace data {

enum class PrepareForm { documents, raw, llmc, nanogpt };
enum class Units { document, line };

struct PrepareProgress {
  const std::string& set;
  int64_t bytes, pieces, tokens;  // of this run; pieces: documents, or parts of an imported file
};

struct PrepareOptions {
  std::string folder;
  PrepareForm form = PrepareForm::documents;
  Units units = Units::document;
  SpecialText special = SpecialText::ordinary;
  ReadOptions read;
  int64_t shard_tokens = 100'000'000;
  double valid = 0;  // raw: the last share of each file's characters becomes the set "valid"
  int threads = 0;
  Existing existing = Existing::keep;
  /// Called now and then; what it throws ends the run, which can be taken up again.
  std::function<void(const PrepareProgress&)> progress = [](const PrepareProgress&) {};
};

/// The token that ends documents: the first special token that the tokenizer has of "<|endoftext|>", "</s>",
/// "<|end_of_text|>", "[SEP]" and "<eos>"; for kind word the line's "<eos>", which is there already; else the
/// newline's token. no_token: none of them.
struct DocumentEnd {
  TokenId id = no_token;
  enum { special, end_of_line, newline, none } role = none;
};
DocumentEnd document_end(const Tokenizer& tokenizer);

/// "train", "valid" or "test": the last word of the file's name that says so (val, validation, dev and eval
/// are valid), else "train".
std::string set_of_file(const std::string& path);

/// The files of a folder that `normlab corpus` made, or whose files' names say train and valid or test;
/// {path} for anything else.
std::vector<std::string> files_of_sets(const std::string& path);

/// What was made of one set.
struct PreparedSet {
  std::string name;  // FOLDER/train: what data.train of a run's config wants
  int64_t tokens = 0, units = 0, shards = 0;
  bool was_finished = false;  // all of it by an earlier run
};

/// Makes the sets that `inputs` name (a folder of `normlab corpus` gives train, valid and test, and so does
/// one whose files' names say train and valid or test; another folder is one input), each from its inputs in
/// the order given.
std::vector<PreparedSet> prepare(const Tokenizer& tokenizer, const std::vector<std::string>& inputs,
                                 const PrepareOptions& options);

}  // namespace data
