// The merge loop of BPE training. Read first: bpe_train.h.
//
// All distinct pieces lie one after the other in one array of cells, a cell a byte. A token covers as many
// cells as it has bytes and is written in its first and its last cell, so both neighbours are found in
// constant time; the cells between are holes. For every pair of tokens we keep its weighted count and the
// places where it stood; a place is checked when it is used, since merges may have changed it. All merges
// together then cost no more than the sum of the places, and the most frequent pair comes from a heap whose
// counts are corrected when they reach the top.
#include "data/bpe_train.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/log.h"

namespace data {

using engine::check;

namespace {

constexpr TokenId border = 0xFFFFFFFE, hole = 0xFFFFFFFD;
constexpr size_t default_vocab_size = 32768;

struct Pair {
  TokenId left, right;
  int64_t count = 0;             // how often it stands in the text
  std::vector<uint32_t> places;  // first cell of `left`, some out of date
  bool merged = false;           // it is in the list of merges already
};

class Trainer {
 public:
  Trainer(const std::vector<PieceCount>& pieces, BpeModel& model) : model_(model) {
    for (TokenId id = 0; id < model.tokens.size(); ++id) ids_by_bytes_.emplace(model.tokens[id], id);
    lay_out(pieces);
    for (uint32_t pair = 0; pair < pairs_.size(); ++pair) offer(pair);
  }

  void run(size_t vocab_size, int64_t min_frequency) {
    while (model_.tokens.size() < vocab_size && !heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      Pair& pair = pairs_[top.pair];
      if (pair.count != top.count) {
        offer(top.pair);
        continue;
      }
      if (pair.count < min_frequency) return;
      if (spells_special(pair.left, pair.right)) {
        pair.count = 0;
        continue;
      }
      merge(top.pair);
    }
  }

 private:
  struct Candidate {
    int64_t count;
    TokenId left, right;
    uint32_t pair;
    bool operator<(const Candidate& other) const {  // true: the other one is merged first
      if (count != other.count) return count < other.count;
      return left != other.left ? left > other.left : right > other.right;
    }
  };

  void lay_out(const std::vector<PieceCount>& pieces) {
    std::array<TokenId, 256> byte_ids{};
    for (TokenId id = 0; id < model_.tokens.size(); ++id) {
      if (model_.tokens[id].size() == 1) byte_ids[uint8_t(model_.tokens[id][0])] = id;
    }
    size_t cells = 1;
    for (const PieceCount& piece : pieces) cells += piece.piece.size() + 1;
    check(cells < border, "tokenizer train: ", cells, " bytes of distinct pieces are too many");
    cells_.reserve(cells);
    counts_.reserve(cells);
    cells_.push_back(border), counts_.push_back(0);
    for (const PieceCount& piece : pieces) {
      for (size_t i = 0; i < piece.piece.size(); ++i) {
        cells_.push_back(byte_ids[uint8_t(piece.piece[i])]);
        counts_.push_back(int64_t(piece.count));
        if (i > 0) add(cells_.size() - 2, cells_[cells_.size() - 2], cells_.back());
      }
      cells_.push_back(border), counts_.push_back(0);
    }
    touched_.clear();
  }

  size_t length(TokenId id) const { return model_.tokens[id].size(); }

  uint32_t pair_index(TokenId left, TokenId right) {
    const auto [place, added] = index_.try_emplace(uint64_t(left) << 32 | right, uint32_t(pairs_.size()));
    if (added) pairs_.push_back({left, right});
    return place->second;
  }
  void add(size_t cell, TokenId left, TokenId right) {
    const uint32_t index = pair_index(left, right);
    pairs_[index].count += counts_[cell];
    pairs_[index].places.push_back(uint32_t(cell));
    touched_.push_back(index);
  }
  void remove(size_t cell, TokenId left, TokenId right) {
    pairs_[pair_index(left, right)].count -= counts_[cell];
  }

  void offer(uint32_t index) {
    const Pair& pair = pairs_[index];
    if (pair.count > 0) heap_.push({pair.count, pair.left, pair.right, index});
  }

  /// A merge must not spell a special token, in text or in files: ordinary text would then give its id.
  bool spells_special(TokenId left, TokenId right) const {
    const std::string bytes = model_.tokens[left] + model_.tokens[right], written = bytes_to_alphabet(bytes);
    return std::any_of(model_.special.begin(), model_.special.end(),
                       [&](const AddedToken& token) { return token.text == bytes || token.text == written; });
  }

  /// The token that the pair becomes. Two pairs can spell the same bytes ("a"+"bc", "ab"+"c"): they share one
  /// token.
  TokenId result_of(TokenId left, TokenId right) {
    const std::string bytes = model_.tokens[left] + model_.tokens[right];
    const auto [place, added] = ids_by_bytes_.emplace(bytes, TokenId(model_.tokens.size()));
    if (added) model_.tokens.push_back(bytes);
    return place->second;
  }

  void merge(uint32_t index) {
    const auto [left, right] = std::pair{pairs_[index].left, pairs_[index].right};
    const TokenId result = result_of(left, right);
    if (!pairs_[index].merged) model_.merges.push_back({left, right, result});
    pairs_[index].merged = true;
    std::vector<uint32_t> places = std::move(pairs_[index].places);
    pairs_[index].places.clear();
    std::sort(places.begin(), places.end());  // within a piece, left to right
    touched_.clear();
    for (const size_t at : places) {
      const size_t middle = at + length(left), end = middle + length(right);
      if (cells_[at] != left || cells_[middle] != right) continue;
      if (const TokenId before = cells_[at - 1]; before != border) {
        const size_t start = at - length(before);
        remove(at, before, left);
        add(start, before, result);
      }
      if (const TokenId after = cells_[end]; after != border) {
        remove(at, right, after);
        add(at, result, after);
      }
      cells_[middle - 1] = cells_[middle] = hole;
      cells_[at] = cells_[end - 1] = result;
    }
    pairs_[index].count = 0;
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const uint32_t pair : touched_) offer(pair);
  }

  BpeModel& model_;
  std::unordered_map<std::string, TokenId> ids_by_bytes_;
  std::vector<TokenId> cells_;
  std::vector<int64_t> counts_;  // of a cell's piece
  std::vector<Pair> pairs_;
  std::unordered_map<uint64_t, uint32_t> index_;  // (left, right) -> place in pairs_
  std::vector<uint32_t> touched_;                 // pairs that gained places
  std::priority_queue<Candidate> heap_;
};

/// Special tokens, then the bytes in the order of the characters that stand for them.
BpeModel start_model(const TrainOptions& options) {
  BpeModel model;
  for (const std::string& text : options.special) {
    model.special.push_back({text, TokenId(model.tokens.size())});
    model.tokens.push_back(text);
  }
  std::vector<int> bytes(256);
  for (int i = 0; i < 256; ++i) bytes[i] = i;
  std::sort(bytes.begin(), bytes.end(),
            [](int a, int b) { return byte_character(uint8_t(a)) < byte_character(uint8_t(b)); });
  for (const int byte : bytes) model.tokens.emplace_back(1, char(byte));
  return model;
}

}  // namespace

BpeModel learn_bpe(const std::vector<PieceCount>& pieces, const TrainOptions& options) {
  BpeModel model = start_model(options);
  const size_t least = model.tokens.size();
  const size_t vocab_size = options.vocab_size > 0 ? options.vocab_size : default_vocab_size;
  check(vocab_size >= least, "tokenizer train: a vocabulary of ", vocab_size,
        " is too small: kind bpe needs ", least, " (256 bytes and ", options.special.size(),
        " special tokens)");
  check(vocab_size <= size_t(1) << 24, "tokenizer train: a vocabulary of ", vocab_size,
        " is above the limit of ", size_t(1) << 24);
  check(!pieces.empty(), "tokenizer train: there is no text to learn from");
  Trainer(pieces, model).run(vocab_size, int64_t(options.min_frequency > 0 ? options.min_frequency : 2));
  if (model.tokens.size() < vocab_size) {
    engine::log_warning("tokenizer train: the text gives ", model.tokens.size(), " tokens, ", vocab_size,
                        " were asked for");
  }
  return model;
}

BpeModel learn_bpe(std::span<const std::string_view> texts, const TrainOptions& options) {
  PieceCounts counts(options.threads);
  counts.add(texts);
  return learn_bpe(counts.sorted(), options);
}

std::unique_ptr<TextCounter> count_for_bpe(int threads) {
  class Pieces final : public TextCounter {
   public:
    explicit Pieces(int threads) : counts_(threads) {}
    void count(std::span<const std::string_view> texts) override { counts_.add(texts); }
    std::unique_ptr<Tokenizer> learn(const TrainOptions& options) override {
      return make_bpe_tokenizer(learn_bpe(counts_.sorted(), options), "tokenizer train");
    }

   private:
    PieceCounts counts_;
  };
  return std::make_unique<Pieces>(threads);
}

}  // namespace data
