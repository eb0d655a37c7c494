// A tokenizer as Hugging Face's tokenizer.json describes it, piece by piece:
//
//   added tokens      found first, and taken out of the text      added_tokens.h
//   normalizer        rewrites what is between them               normalizer.h
//   pre-tokenizer     cuts it into pieces                         pre_tokenizer.h
//   model             the ids of a piece                          piece_model.h
//   post-processor    what stands around the ids of a text        post_processor.h
//   decoder           from ids back to text                       decoder.h
//
// The speed is in a cache from piece to ids: text repeats its words (Zipf), so nearly all pieces are found
// there. Read first: data/tokenizer.h. Read next: tokenizer_json.h.
#pragma once

#include <memory>
#include <mutex>

#include "data/pipeline/added_tokens.h"
#include "data/pipeline/decoder.h"
#include "data/pipeline/piece_model.h"
#include "data/pipeline/post_processor.h"
#include "data/pipeline/pre_tokenizer.h"

namespace data {

class PieceCache;

/// The pieces, and the parts of the file that they were read from.
struct Pipeline {
  std::vector<AddedToken> added;
  std::unique_ptr<Normalizer> normalizer;       // null: none
  std::unique_ptr<PreTokenizer> pre_tokenizer;  // null: none
  std::unique_ptr<PieceModel> model;
  PostProcessor post_processor;
  std::unique_ptr<Decoder> decoder;  // null: none
  SpecialRoles roles;                // where other files say them
  struct Parts {
    engine::SortedJson normalizer, pre_tokenizer, post_processor, decoder;
  } json;
};

class PipelineTokenizer final : public Tokenizer {
 public:
  /// `what` names the source in errors.
  PipelineTokenizer(Pipeline pipeline, const std::string& what);
  ~PipelineTokenizer() override;

  TokenizerKind kind() const override { return pipeline_.model->kind(); }
  size_t vocab_size() const override { return texts_.size(); }
  std::string to_json() const override;
  std::vector<TokenId> with_special_tokens(std::span<const TokenId> ids) const override;
  std::vector<TokenId> with_special_tokens(std::span<const TokenId> a,
                                           std::span<const TokenId> b) const override;

 protected:
  void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void encode_recognising(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void decode_ids(std::span<const TokenId> ids, std::string& out) const override;

 private:
  /// Text on its way; `first`: it begins where the whole text began.
  struct Run {
    SpecialText special;
    int threads;
    PieceCache& cache;
    std::vector<TokenId>& out;
  };
  void encode_text(std::string_view text, SpecialText special, int threads, std::vector<TokenId>& out) const;
  void rewrite(std::string_view text, bool first, const Run& run) const;
  void cut(std::string_view text, bool first, const Run& run) const;
  void cut_as_gpt2(std::string_view text, PieceCache& cache, std::vector<TokenId>& out) const;
  void encode_piece(const uint8_t* first, const uint8_t* last, const uint8_t* end, PieceCache& cache,
                    std::vector<TokenId>& out) const;
  void lay_out_bytes(const std::string& what);
  void decode_bytes(std::span<const TokenId> ids, std::string& out) const;

  /// A cache that is lent to one call at a time and stays warm between calls.
  class BorrowedCache;

  Pipeline pipeline_;
  AddedTokens added_;
  std::vector<std::string> texts_;  // by id, added tokens too; "" for a hole
  bool gpt2_ = false;               // pieces are GPT-2's bytes as they stand in the text
  // For a ByteLevel decoder: the bytes of all tokens one after the other, with room to read 16 from any of
  // them, and where each token begins.
  std::string token_bytes_;
  std::vector<uint32_t> token_starts_;
  mutable std::mutex cache_mutex_;
  mutable std::vector<std::unique_ptr<PieceCache>> idle_caches_;
};

}  // namespace data
