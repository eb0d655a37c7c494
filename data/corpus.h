// A corpus: documents cleaned, without exact duplicates, split into train, valid and test, with a manifest.
//
// DIR/train.txt, valid.txt and test.txt hold documents with a line <|endoftext|> between them (documents.h
// reads them back; `normlab prepare` puts the tokenizer's separator there). Where a document contains such a
// line itself, all three are JSONL instead ({"text": ...} a line), which can hold any text. DIR/manifest.json
// says what was read, what was dropped, how it was split, and each file's sha256 and counts. The same input
// and options give the same bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "data/clean_text.h"
#include "data/document_spool.h"
#include "data/documents.h"
#include "engine/base/json.h"

namespace data {

enum class Cleaning { clean, utf8_only };  // utf8_only: the text's own bytes, checked

struct CorpusOptions {
  Cleaning cleaning = Cleaning::clean;
  InvalidUtf8 invalid = InvalidUtf8::fail;
  bool keep_duplicates = false;
  double valid = 0.05, test = 0.05;  // shares of the bytes
  uint64_t seed = 1;
};

/// Where the text came from, for the manifest.
struct CorpusSource {
  std::string name, licence;
  engine::Json origin;  // packages and versions, or paths
};

/// Takes documents one by one and writes the folder at the end. The texts wait on the disk, where the folder
/// is to be (document_spool.h); memory holds of each document its size and, to know a copy by, a hash.
class CorpusBuilder {
 public:
  CorpusBuilder(const CorpusOptions& options, const std::string& folder);
  CorpusBuilder(const CorpusBuilder&) = delete;
  CorpusBuilder& operator=(const CorpusBuilder&) = delete;

  void add(Document&& document);
  int64_t documents() const { return int64_t(spool_.sizes().size()); }
  /// Writes the files and returns the manifest.
  engine::Json write(const CorpusSource& source);

 private:
  using Digest = std::array<uint64_t, 2>;  // half of a SHA-256
  struct Fold {
    size_t operator()(const Digest& digest) const { return size_t(digest[0]); }
  };

  CorpusOptions options_;
  std::string folder_;
  DocumentSpool spool_;
  std::unordered_set<Digest, Fold> seen_;
  int64_t read_ = 0, empty_ = 0, duplicates_ = 0;
  bool needs_jsonl_ = false;
};

/// The files of a folder that write() made; none when the folder has no such manifest. An Error unless each
/// is the file that the manifest was written for: of a corpus that was stopped while it took another one's
/// place, some files are new and some old, and the same document may be in train and in valid.
std::vector<std::string> corpus_files(const std::string& folder);

/// Which part each document goes to: 0 train, 1 valid, 2 test. Documents are dealt out in a seeded random
/// order until a part has its share of the bytes; each part that has a share gets at least one document.
std::vector<int> split_documents(const std::vector<size_t>& sizes, double valid, double test, uint64_t seed);

/// Fewer documents than this are not dealt out; their text is cut at line ends instead (in a text of one long
/// line at white space), the last parts to valid and test, which is how a single book, tiny Shakespeare or
/// text8 is split.
constexpr size_t kFewestDocumentsToDeal = 20;

}  // namespace data
