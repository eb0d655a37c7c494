// Read first: mlm_rows.h, masking.h.
#include "data/mlm_rows.h"

#include <algorithm>

#include "data/shuffle.h"
#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;

/// Where each row's tokens begin in the stream; the last entry is the end.
std::vector<int64_t> pack_units(const std::vector<uint32_t>& unit_lengths, int64_t room) {
  std::vector<int64_t> starts{0};
  int64_t end = 0;
  for (const int64_t unit : unit_lengths) {
    if (end - starts.back() + unit > room && end > starts.back()) starts.push_back(end);
    end += unit;
    while (end - starts.back() > room) starts.push_back(starts.back() + room);
  }
  if (end > starts.back()) starts.push_back(end);
  return starts;
}

class MaskedRows : public Rows {
 public:
  MaskedRows(std::shared_ptr<const TokenStream> tokens, const MlmOptions& options)
      : tokens_(std::move(tokens)), options_(options) {
    check(options.length >= 2, "mlm batches: a row needs room for <s> and a token, got length ",
          options.length);
    options_.mask.vocabulary =
        options.mask.vocabulary != 0 ? options.mask.vocabulary : int32_t(tokens_->vocabulary());
    check(options_.mask.vocabulary >= tokens_->vocabulary(), "mlm batches: the shards' vocabulary of ",
          tokens_->vocabulary(), " is larger than the masking rule's, ", options_.mask.vocabulary);
    options_.mask = checked(options_.mask);
    for (const int32_t id : {options.begin, options.pad})
      check(id >= 0 && id < options_.mask.vocabulary, "mlm batches: special id ", id,
            " is outside the vocabulary of ", options_.mask.vocabulary);
    starts_ = pack_units(tokens_->unit_lengths(), options.length - 1);
    check(tokens_->size() > 1, "mlm batches: the data is too short (tokens: ", tokens_->size(),
          ") for anything to predict from");
  }

  int64_t count() const override { return int64_t(starts_.size()) - 1; }
  int64_t length() const override { return options_.length; }
  bool needs_mask() const override { return true; }

  void fill(int64_t epoch, int64_t index, const RowView& row) const override {
    const int64_t first = starts_[size_t(index)], n = starts_[size_t(index) + 1] - first;
    std::fill(row.ids.begin() + 1 + n, row.ids.end(), options_.pad);
    std::fill(row.labels.begin() + 1 + n, row.labels.end(), kNotScored);
    std::fill(row.mask.begin() + 1 + n, row.mask.end(), 0);
    std::fill_n(row.mask.begin(), n + 1, 1);
    row.ids[0] = options_.begin;
    tokens_->read(first, n, row.ids.data() + 1);
    mask_tokens(options_.mask, options_.seed, epoch, index, row.ids.first(size_t(n + 1)),
                row.labels.first(size_t(n + 1)));
  }

  int64_t fingerprint() const override {
    const MaskRule& m = options_.mask;
    int64_t out = mix_fingerprint(tokens_->fingerprint(), options_.seed);
    for (const double x : {double(options_.length), m.select, m.keep, m.random, double(m.mask),
                           double(m.vocabulary), double(m.words.size()), double(count())})
      out = mix_fingerprint(out, uint64_t(x * 1e6));
    return out;
  }

 private:
  std::shared_ptr<const TokenStream> tokens_;
  MlmOptions options_;
  std::vector<int64_t> starts_;
};

}  // namespace

std::shared_ptr<const Rows> mlm_rows(std::shared_ptr<const TokenStream> tokens, const MlmOptions& options) {
  return std::make_shared<MaskedRows>(std::move(tokens), options);
}

}  // namespace data
