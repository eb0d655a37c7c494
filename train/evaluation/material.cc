// Read first: material.h.
#include "train/evaluation/material.h"

#include "data/byte_source.h"
#include "data/encode_documents.h"
#include "data/prepare.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "train/run_data.h"

namespace train {
namespace {

using data::TokenStream;
using engine::check;

bool is_shard(const std::string& file) {
  // A shard whose first bytes are damaged is a damaged shard, and no text.
  if (file.ends_with(".bin")) return true;
  std::string head;
  const auto source = data::open_plain_bytes(file);
  while (head.size() < 8 && source->read(head)) {
  }
  return head.starts_with("NLTOKENS");
}

bool names_shards(const std::string& path) {
  if (engine::is_regular_file(path)) return is_shard(path);
  if (!engine::is_directory(path)) return !engine::file_exists(path);  // FOLDER/NAME, or nothing
  for (const std::string& name : engine::list_folder(path))
    if (name.ends_with(".bin")) return true;
  return false;
}

/// A corpus' training text and what is held out of it are no one text.
void check_one_set(const std::string& path) {
  const std::vector<std::string> files = data::files_of_sets(path);
  for (const std::string& file : files)
    check(data::set_of_file(file) == data::set_of_file(files[0]), path,
          ": holds sets of their own; name one file: ", files.back());
}

/// Collects documents as one stream.
class Collector {
 public:
  explicit Collector(const OpenModel& open)
      : tokenizer_(text_tokenizer(open)),
        causal_(open.model->config().causal()),
        begin_(begin_of_text(open)) {
    // Units of a masked LM end with the token that parts documents; a causal model reads it before each of
    // them.
    if (causal_)
      options_.form = data::PrepareForm::raw;
    else
      options_.units = data::Units::line;
  }

  void add(const data::Document& document) {
    const data::EncodedPiece piece = data::encode_document(tokenizer_, options_, document, 0);
    const bool between = end_.role == data::DocumentEnd::newline && documents_ > 0;
    if (causal_ && !begin_.empty())
      ids_.insert(ids_.end(), begin_.begin(), begin_.end());
    else if (causal_ && (between || end_.role == data::DocumentEnd::special))
      ids_.push_back(int32_t(end_.id));
    ids_.insert(ids_.end(), piece.tokens.begin(), piece.tokens.end());
    units_.insert(units_.end(), piece.unit_lengths.begin(), piece.unit_lengths.end());
    const TextSize size = text_size(document.text);
    text_.words += size.words, text_.bytes += size.bytes;
    ++documents_;
  }
  Material finish(const std::string& path) {
    check(text_.bytes > 0 && !ids_.empty(), path, ": no text in it");
    auto tokens = TokenStream::of(std::move(ids_), int64_t(tokenizer_.vocab_size()),
                                  end_.id == data::no_token ? 0 : int32_t(end_.id),
                                  causal_ ? std::vector<uint32_t>{} : std::move(units_));
    return {std::move(tokens), text_, "text"};
  }

 private:
  const data::Tokenizer& tokenizer_;
  const bool causal_;
  const models::Ids begin_;
  const data::DocumentEnd end_ = data::document_end(tokenizer_);
  data::PrepareOptions options_;
  std::vector<int32_t> ids_;
  std::vector<uint32_t> units_;
  TextSize text_;
  int64_t documents_ = 0;
};

}  // namespace

Material open_material(const std::string& path, const OpenModel& open, const data::ReadOptions& options) {
  if (path != "-" && names_shards(path)) {
    Material m{open_tokens(path, open.tokenizer.get()), {}, "shards"};
    if (open.tokenizer) m.text = text_size(*m.tokens, *open.tokenizer);
    return m;
  }
  if (path != "-") check_one_set(path);
  Collector collector(open);
  data::read_documents(path, options, [&](data::Document&& document) { collector.add(document); });
  return collector.finish(path);
}

}  // namespace train
