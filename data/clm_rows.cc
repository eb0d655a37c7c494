// Read first: clm_rows.h.
#include "data/clm_rows.h"

#include <algorithm>

#include "data/shuffle.h"
#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;

/// ids = s[first .. first+n), labels = s[first+1 .. first+n+1); first = -1 stands for the separator before
/// the stream.
void fill_window(const TokenStream& tokens, int64_t first, int64_t n, const RowView& row) {
  std::vector<int32_t> window(size_t(n + 1), tokens.separator());
  const int64_t skip = first < 0 ? 1 : 0;
  tokens.read(first + skip, n + 1 - skip, window.data() + skip);
  std::fill(row.ids.begin(), row.ids.end(), tokens.separator());
  std::fill(row.labels.begin(), row.labels.end(), kNotScored);
  std::fill(row.mask.begin(), row.mask.end(), 0);
  std::copy_n(window.begin(), n, row.ids.begin());
  std::copy_n(window.begin() + 1, n, row.labels.begin());
  std::fill_n(row.mask.begin(), n, 1);
}

class Blocks : public Rows {
 public:
  Blocks(std::shared_ptr<const TokenStream> tokens, int64_t length, Targets targets, LastRow last)
      : tokens_(std::move(tokens)), length_(length), shift_(targets == Targets::preceding ? 1 : 0) {
    check(length > 0, "clm batches: the context must be at least 1 token, got ", length);
    scored_ = tokens_->size() - 1 + shift_;
    if (last == LastRow::drop) scored_ = scored_ / length * length;
    check(scored_ > 0 && tokens_->size() > 1, "clm batches: the data is too short (tokens: ", tokens_->size(),
          ") for ", last == LastRow::drop ? "a full row of " : "anything to predict in rows of ", length);
  }
  int64_t count() const override { return (scored_ + length_ - 1) / length_; }
  int64_t length() const override { return length_; }
  void fill(int64_t, int64_t index, const RowView& row) const override {
    const int64_t first = index * length_;
    fill_window(*tokens_, first - shift_, std::min(length_, scored_ - first), row);
  }
  int64_t fingerprint() const override {
    return mix_fingerprint(tokens_->fingerprint(), uint64_t(length_) * 2 + uint64_t(shift_));
  }

 private:
  std::shared_ptr<const TokenStream> tokens_;
  int64_t length_, shift_, scored_;
};

class RandomCrops : public Rows {
 public:
  RandomCrops(std::shared_ptr<const TokenStream> tokens, int64_t length, uint64_t seed)
      : tokens_(std::move(tokens)), length_(length), seed_(seed) {
    check(length > 0, "random crops: the context must be at least 1 token, got ", length);
    check(tokens_->size() > length, "random crops: ", tokens_->size(), " tokens hold no row of ", length,
          " with its targets");
  }
  int64_t count() const override { return std::max<int64_t>(1, tokens_->size() / length_); }
  int64_t length() const override { return length_; }
  void fill(int64_t epoch, int64_t index, const RowView& row) const override {
    engine::Rng rng = item_rng(seed_, Draw::crop, epoch, index);
    fill_window(*tokens_, int64_t(rng.below(uint64_t(tokens_->size() - length_))), length_, row);
  }
  int64_t fingerprint() const override {
    return mix_fingerprint(mix_fingerprint(tokens_->fingerprint(), uint64_t(length_)), ~seed_);
  }

 private:
  std::shared_ptr<const TokenStream> tokens_;
  int64_t length_;
  uint64_t seed_;
};

}  // namespace

std::shared_ptr<const Rows> clm_blocks(std::shared_ptr<const TokenStream> tokens, int64_t length,
                                       Targets targets, LastRow last) {
  return std::make_shared<Blocks>(std::move(tokens), length, targets, last);
}

std::shared_ptr<const Rows> clm_random_crops(std::shared_ptr<const TokenStream> tokens, int64_t length,
                                             uint64_t seed) {
  return std::make_shared<RandomCrops>(std::move(tokens), length, seed);
}

}  // namespace data
