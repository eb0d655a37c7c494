// Read first: batches.h.
#include "data/batches.h"

#include <algorithm>

#include "data/shuffle.h"
#include "engine/base/check.h"

namespace data {
namespace {

/// Rows (epoch, index) to a batch; `where(i)` gives the pair for row i.
template <class Where>
Batch gather(const Rows& rows, int64_t count, const Where& where) {
  Batch out;
  out.rows = count;
  out.length = rows.length();
  out.ids.resize(size_t(count * out.length));
  out.labels.resize(out.ids.size());
  out.attention_mask.assign(out.ids.size(), 1);
  for (int64_t i = 0; i < count; ++i) {
    const size_t at = size_t(i * out.length), n = size_t(out.length);
    const auto [epoch, index] = where(i);
    rows.fill(epoch, index,
              {std::span(out.ids).subspan(at, n), std::span(out.labels).subspan(at, n),
               std::span(out.attention_mask).subspan(at, n)});
  }
  out.scored = std::count_if(out.labels.begin(), out.labels.end(), [](int32_t l) { return l != kNotScored; });
  const auto& mask = out.attention_mask;
  if (!rows.needs_mask() || std::all_of(mask.begin(), mask.end(), [](uint8_t m) { return m == 1; }))
    out.attention_mask.clear();
  return out;
}

void check_ranks(int64_t rows, int64_t batch, int64_t rank, int64_t world) {
  engine::check(rows > 0, "batches: the data has no rows");
  engine::check(batch > 0, "batches: the batch must be at least 1 row, got ", batch);
  engine::check(world > 0 && rank >= 0 && rank < world, "batches: rank ", rank, " is outside the ", world,
                " ranks");
}

class EndlessBatches : public BatchSource {
 public:
  EndlessBatches(std::shared_ptr<const Rows> rows, const BatchOptions& options)
      : rows_(std::move(rows)), options_(options) {
    check_ranks(rows_->count(), options.batch, options.rank, options.world);
    const uint64_t order = options.order == Order::shuffled ? options.seed + 1 : 0;
    position_.fingerprint = mix_fingerprint(rows_->fingerprint(), order);
  }

  Batch next() override {
    const int64_t count = rows_->count(), first = position_.rows + options_.rank * options_.batch;
    Batch out = gather(*rows_, options_.batch, [&](int64_t i) {
      const int64_t epoch = (first + i) / count, index = (first + i) % count;
      if (options_.order == Order::sequential) return std::pair(epoch, index);
      return std::pair(epoch, shuffled_index(options_.seed, epoch, count, index));
    });
    position_.rows += options_.batch * options_.world;
    return out;
  }

  BatchPosition position() const override { return position_; }
  int64_t rows_per_epoch() const override { return rows_->count(); }

  void seek(const BatchPosition& position) override {
    engine::check(position.rows >= 0, "batches: cannot go to row ", position.rows);
    engine::check(position.fingerprint == 0 || position.fingerprint == position_.fingerprint,
                  "batches: the position was saved with other data, another context, sampler, order, masking "
                  "or seed (fingerprint ",
                  position.fingerprint, ", now ", position_.fingerprint, ")");
    position_.rows = position.rows;
  }

 private:
  std::shared_ptr<const Rows> rows_;
  BatchOptions options_;
  BatchPosition position_;
};

}  // namespace

engine::Json to_json(const BatchPosition& position) {
  return {{"rows", position.rows}, {"fingerprint", position.fingerprint}};
}

BatchPosition position_from_json(const engine::Json& json, const std::string& what) {
  engine::check_keys(json, {"rows", "fingerprint"}, what);
  BatchPosition out;
  engine::check(json.contains("rows"), what, ": \"rows\" is missing");
  out.rows = engine::json_int(json["rows"], what + ".rows", 0, INT64_MAX);
  if (json.contains("fingerprint"))
    out.fingerprint = engine::json_int(json["fingerprint"], what + ".fingerprint", 0, INT64_MAX);
  return out;
}

std::unique_ptr<BatchSource> make_batches(std::shared_ptr<const Rows> rows, const BatchOptions& options) {
  return std::make_unique<EndlessBatches>(std::move(rows), options);
}

ValidationBatches::ValidationBatches(std::shared_ptr<const Rows> rows, int64_t batch)
    : rows_(std::move(rows)), batch_(batch) {
  check_ranks(rows_->count(), batch, 0, 1);
}

int64_t ValidationBatches::count() const { return (rows_->count() + batch_ - 1) / batch_; }

Batch ValidationBatches::at(int64_t index) const {
  engine::check(index >= 0 && index < count(), "validation: batch ", index, " of ", count());
  const int64_t first = index * batch_;
  const int64_t rows = std::min(batch_, rows_->count() - first);
  return gather(*rows_, rows, [&](int64_t i) { return std::pair(int64_t(0), first + i); });
}

}  // namespace data
