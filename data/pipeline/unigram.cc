// Unigram (Kudo 2018, arXiv 1804.10959; SentencePiece): each token has a score, the logarithm of its
// probability, and a piece is cut where the sum is largest (Viterbi's search, from the left). A character
// that no token covers costs ten more than the least likely token and is the unknown token; unknown
// neighbours are one. With byte_fallback an unknown part is its bytes ("<0xE2>") instead, where the
// vocabulary has them all. Read first: piece_model.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "data/byte_trie.h"
#include "data/pipeline/byte_tokens.h"
#include "data/pipeline/piece_model.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

struct Scored {
  std::vector<std::string> texts;
  std::vector<double> scores;
};

Scored read_scored(const JsonPart& part) {
  const engine::SortedJson list = part.json().value("vocab", engine::SortedJson());
  check(list.is_array() && !list.empty(), part.what(), ": \"vocab\" must be a list of [token, score]");
  Scored out;
  for (const auto& entry : list) {
    const bool good = entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
    check(good, part.what(), ".vocab[", out.texts.size(), "]: expected [token, score], got ",
          engine::json_text(entry).substr(0, 64));
    out.texts.push_back(entry[0]);
    out.scores.push_back(entry[1]);
    check(std::isfinite(out.scores.back()), part.what(), ".vocab[", out.texts.size() - 1,
          "]: the score is not finite");
  }
  return out;
}

class Unigram final : public PieceModel {
 public:
  Unigram(const JsonPart& part, Scored scored)
      : PieceModel(Vocabulary(std::move(scored.texts))),
        scores_(std::move(scored.scores)),
        bytes_(vocabulary()),
        byte_fallback_(part.flag_or("byte_fallback", false)) {
    part.only({"unk_id", "vocab", "byte_fallback"});
    unknown_ = TokenId(part.number_or("unk_id", no_token, 0, int64_t(scores_.size()) - 1));
    double least = std::numeric_limits<double>::infinity();
    for (const double score : scores_) least = std::min(least, score);
    unknown_score_ = least - 10;
    for (TokenId id = 0; id < vocabulary().size(); ++id)
      if (!vocabulary().text(id).empty()) tree_.insert(vocabulary().text(id), id);
  }

  TokenizerKind kind() const override { return TokenizerKind::unigram; }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    check(piece.size() < UINT32_MAX, "encode: a piece of ", piece.size(), " bytes is too long");
    thread_local std::vector<Step> best;  // best[i]: of the ways to cut the first i bytes
    search(piece, best);
    // From the end; then the tokens are turned around.
    const size_t first = out.size();
    for (size_t end = piece.size(); end > 0;) {
      size_t begin = best[end].begin;
      if (best[end].id == unknown_ && unknown_ != no_token)
        while (begin > 0 && best[begin].id == unknown_) begin = best[begin].begin;
      const std::string_view part = piece.substr(begin, end - begin);
      append_backwards(part, best[end].id, out);
      end = begin;
    }
    std::reverse(out.begin() + ptrdiff_t(first), out.end());
    if (best.capacity() > (size_t(1) << 20)) best = {};
  }

  std::string to_json() const override {
    std::string entries;
    for (TokenId id = 0; id < vocabulary().size(); ++id)
      entries += (id == 0 ? "\n      [" : ",\n      [") + json_quoted(vocabulary().text(id)) + ", " +
                 engine::json_text(engine::Json(scores_[id])) + "]";
    return R"({
    "type": "Unigram", "unk_id": )" +
           (unknown_ == no_token ? "null" : std::to_string(unknown_)) + R"(, "byte_fallback": )" +
           (byte_fallback_ ? "true" : "false") + R"(,
    "vocab": [)" +
           entries + "]\n  }";
  }

 private:
  struct Step {
    double score = 0;
    uint32_t begin = none;  // of the last token; none: no way leads here
    TokenId id = 0;
  };
  static constexpr uint32_t none = 0xFFFFFFFF;

  void search(std::string_view piece, std::vector<Step>& best) const {
    best.assign(piece.size() + 1, Step());
    const auto offer = [&](size_t begin, size_t end, double score, TokenId id) {
      Step& step = best[end];
      const double sum = score + best[begin].score;
      if (step.begin == none || sum > step.score) step = {sum, uint32_t(begin), id};
    };
    const auto* text = reinterpret_cast<const uint8_t*>(piece.data());
    for (size_t at = 0; at < piece.size();) {
      const size_t one = decode_char(text + at, text + piece.size()).bytes;
      bool covered = false;
      uint32_t node = ByteTrie::root;
      for (size_t end = at; end < piece.size();) {
        node = tree_.child(node, text[end++]);
        if (node == ByteTrie::none) break;
        const TokenId id = tree_.value(node);
        if (id == ByteTrie::none) continue;
        offer(at, end, scores_[id], id);
        covered = covered || end - at == one;
      }
      if (!covered) {
        if (unknown_ == no_token)
          engine::fail("encode: the vocabulary has neither ", json_quoted(std::string(piece.substr(at, one))),
                       " nor an unknown token");
        offer(at, at + one, unknown_score_, unknown_);
      }
      at += one;
    }
  }

  /// The ids of a token, or of an unknown part that may hold several characters, last one first.
  void append_backwards(std::string_view part, TokenId id, std::vector<TokenId>& out) const {
    if (id != unknown_) return out.push_back(id);
    // As in tokenizers: an unknown part that is spelled like a token is that token.
    const TokenId spelled = vocabulary().id(part);
    if (spelled != no_token) return out.push_back(spelled);
    if (byte_fallback_ && bytes_.has_all(part)) {
      for (size_t i = part.size(); i-- > 0;) out.push_back(bytes_.id(uint8_t(part[i])));
    } else {
      out.push_back(unknown_);
    }
  }

  std::vector<double> scores_;
  ByteTokens bytes_;
  bool byte_fallback_;
  TokenId unknown_ = no_token;
  double unknown_score_ = 0;
  ByteTrie tree_;
};

}  // namespace

std::unique_ptr<PieceModel> make_unigram(const JsonPart& part) {
  return std::make_unique<Unigram>(part, read_scored(part));
}

}  // namespace data
