// Read first: shards.h.
#include "train/shards.h"

#include <algorithm>
#include <utility>

#include "engine/ops/optimizer.h"

namespace train {

using engine::DType;
using engine::Tensor;
using nn::Piece;

namespace {

constexpr int64_t kBlock = engine::kSquaresBlock;

int64_t round_down(int64_t n) { return n / kBlock * kBlock; }
int64_t round_up(int64_t n) { return round_down(n + kBlock - 1); }

int64_t elements_of(const std::vector<Piece>& pieces) {
  return pieces.empty() ? 0 : pieces.back().at + pieces.back().end - pieces.back().begin;
}

/// The part of `own` (a tensor over pieces) that a piece has in it.
Tensor in_own(const Tensor& own, const Piece& p) { return own.slice(0, p.at, p.at + p.end - p.begin); }

/// The stretch of `pieces` with these arena elements, which lie within one of them.
Piece within(const std::vector<Piece>& pieces, int64_t begin, int64_t end) {
  for (const Piece& p : pieces)
    if (begin >= p.begin && end <= p.end) return {begin, end, p.at + begin - p.begin};
  engine::fail("shards: [", begin, ", ", end, ") is not this rank's");
}

}  // namespace

void copy_flat(const Tensor& from, const Tensor& to, bool accumulate) {
  // In rows, because the copy kernel spreads rows over the threads.
  const int64_t n = from.numel(), whole = round_down(n);
  if (whole > 0) {
    const engine::Shape rows = {whole / kBlock, kBlock};
    to.slice(0, 0, whole).reshape(rows).copy_from(from.slice(0, 0, whole).reshape(rows), accumulate);
  }
  if (n > whole) to.slice(0, whole, n).copy_from(from.slice(0, whole, n), accumulate);
}

std::vector<Bucket> plan_buckets(int64_t elements, int64_t matrices_end, int64_t embeddings_end, int ranks,
                                 int64_t bucket_elements) {
  const int64_t unit = kBlock * ranks, size = std::max<int64_t>(1, (bucket_elements + unit / 2) / unit) * unit;
  const int64_t a = round_down(matrices_end), b = std::min(elements, round_up(embeddings_end));
  std::vector<Bucket> buckets;
  const auto add = [&](int64_t begin, int64_t end) {
    if (begin == end) return;
    Bucket bucket{begin, end, {0}};
    const int64_t blocks = (end - begin + kBlock - 1) / kBlock;
    for (int r = 1; r <= ranks; ++r)
      bucket.bounds.push_back(std::min(end - begin, blocks * r / ranks * kBlock));
    buckets.push_back(std::move(bucket));
  };
  for (int64_t end = a; end > 0; end = std::max<int64_t>(0, end - size)) add(std::max<int64_t>(0, end - size), end);
  for (int64_t begin = b; begin < elements; begin += size) add(begin, std::min(elements, begin + size));
  for (int64_t begin = a; begin < b; begin += size) add(begin, std::min(b, begin + size));
  return buckets;
}

std::vector<Piece> pieces_of(const std::vector<Bucket>& buckets, int rank) {
  std::vector<Piece> pieces;
  for (const Bucket& bucket : buckets) {
    const int64_t begin = bucket.begin + bucket.bounds[size_t(rank)],
                  end = bucket.begin + bucket.bounds[size_t(rank) + 1];
    if (begin < end) pieces.push_back({begin, end, 0});
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  int64_t at = 0;
  for (Piece& p : pieces) p.at = std::exchange(at, at + p.end - p.begin);
  return pieces;
}

Shards::Shards(nn::Parameters& parameters, engine::Communicator& communicator, const ParallelConfig& config)
    : parameters_(parameters), communicator_(communicator) {
  const int ranks = communicator.size();
  buckets_ = plan_buckets(parameters.elements(), parameters.range(nn::ParameterGroup::matrix).second,
                          parameters.range(nn::ParameterGroup::embedding).second, ranks,
                          int64_t(config.bucket_mib * (1 << 20)) / engine::size_of(parameters.precision().grad));
  for (int r = 0; r < ranks; ++r) parts_.push_back(pieces_of(buckets_, r));
  dealt_ = config.zero > 0 && ranks > 1;
  pieces_ = dealt_ ? parts_[size_t(communicator.rank())] : std::vector<Piece>{{0, parameters.elements(), 0}};
  // Masters are dealt out where ops read copies of them.
  const nn::Precision& p = parameters.precision();
  if (dealt_ && p.master != p.compute && engine::compute_dtype(p.master) == p.master)
    whole_from_ = round_down(parameters.range(nn::ParameterGroup::matrix).second);
}

Tensor Shards::zeros() const {
  return Tensor::zeros({elements_of(pieces_)}, engine::compute_dtype(parameters_.precision().master),
                       parameters_.precision().device);
}

void Shards::deal_values() {
  if (whole_from_ > 0) parameters_.keep_values(pieces_, whole_from_);
}

void Shards::gather_read(bool whole_alone) {
  std::vector<int64_t> jobs;
  for (const Bucket& b : buckets_) {
    const bool by_copies = parameters_.sharded() && b.end <= whole_from_;
    if (by_copies && whole_alone) continue;
    const Tensor read = by_copies ? parameters_.copies(b.begin, b.end) : parameters_.values(b.begin, b.end);
    jobs.push_back(communicator_.start_all_gather(read, b.bounds, "weights"));
  }
  for (int64_t job : jobs) communicator_.wait(job);
}

void Shards::publish() {
  if (!dealt_) return;
  gather_read(/*whole_alone=*/false);
  parameters_.refresh_copies();
}

void Shards::publish_changed(const Change& change) {
  if (dealt_) gather_read(/*whole_alone=*/true);
  for (const engine::Parameter* p : parameters_.all()) {
    if (p->value.defined())
      change(*p, p->value);
    else
      change_dealt(*p, change);
  }
  parameters_.refresh_copies();
}

void Shards::change_dealt(const engine::Parameter& p, const Change& change) {
  const nn::Precision& precision = parameters_.precision();
  const int64_t begin = p.grad.offset(), end = begin + p.grad.numel();
  const Tensor values = Tensor::empty({end - begin}, precision.master, precision.device);
  const auto place = [&](int64_t from, int64_t to) { return values.slice(0, from - begin, to - begin); };
  // The last matrix may reach into what is whole on every rank.
  std::vector<Piece> held = pieces_;
  std::erase_if(held, [&](const Piece& piece) { return piece.begin >= whole_from_; });
  held.push_back({whole_from_, parameters_.elements(), 0});
  const auto each_held = [&](const auto& move) {
    for (const Piece& piece : held) {
      const int64_t from = std::max(begin, piece.begin), to = std::min(end, piece.end);
      if (from < to) move(parameters_.values(from, to), place(from, to));
    }
  };
  each_held([](const Tensor& own, const Tensor& copy) { engine::convert(own, copy); });
  for (const Bucket& b : buckets_) {
    const int64_t from = std::max(begin, b.begin), to = std::min(end, b.end);
    if (from >= to || b.end > whole_from_) continue;
    std::vector<int64_t> bounds;
    for (int64_t at : b.bounds) bounds.push_back(std::clamp(b.begin + at, from, to) - from);
    communicator_.all_gather(place(from, to), bounds, "masters");
  }
  change(p, values.reshape(p.grad.shape()));
  each_held([](const Tensor& own, const Tensor& copy) { engine::convert(copy, own); });
  engine::convert(values, parameters_.copies(begin, end));
}

void Shards::collect_values() {
  if (!parameters_.sharded()) return;
  parameters_.make_whole();
  for (const Bucket& b : buckets_) communicator_.all_gather(parameters_.values(b.begin, b.end), b.bounds, "masters");
}

void Shards::collect_gradients() {
  if (!dealt_) return;
  for (const Bucket& b : buckets_)
    communicator_.all_gather(parameters_.grads().slice(0, b.begin, b.end), b.bounds, "gradients");
}

void Shards::set_values(const Tensor& own) {
  for (const Piece& p : pieces_) engine::convert(in_own(own, p), parameters_.values(p.begin, p.end));
  parameters_.refresh_copies();
  publish();
}

Tensor Shards::own_values() const {
  const nn::Precision& precision = parameters_.precision();
  const Tensor own = Tensor::empty({elements_of(pieces_)}, precision.master, precision.device);
  for (const Piece& p : pieces_) engine::convert(parameters_.values(p.begin, p.end), in_own(own, p));
  return own;
}

Tensor Shards::gather(DType dtype, const std::function<Tensor(const Piece&)>& part) const {
  const int rank = communicator_.rank();
  Tensor whole;
  if (rank == 0) whole = Tensor::empty({parameters_.elements()}, dtype, engine::Device::cpu);
  if (!dealt_) {
    if (rank == 0) whole.copy_from(part({0, parameters_.elements(), 0}));
    return whole;
  }
  for (const Bucket& b : buckets_) {
    const Tensor place = rank == 0 ? whole.slice(0, b.begin, b.end)
                                   : Tensor::empty({b.end - b.begin}, dtype, engine::Device::cpu);
    const int64_t begin = b.bounds[size_t(rank)], end = b.bounds[size_t(rank) + 1];
    if (begin < end)
      place.slice(0, begin, end).copy_from(part(within(pieces_, b.begin + begin, b.begin + end)));
    communicator_.gather_to_root(place, b.bounds);
  }
  return whole;
}

Tensor Shards::gather(const Tensor& own) const {
  return gather(own.dtype(), [&](const Piece& p) { return in_own(own, p); });
}

Tensor Shards::gather_values() const {
  return gather(parameters_.precision().master, [&](const Piece& p) { return parameters_.values(p.begin, p.end); });
}

void Shards::scatter(const Tensor& whole, const Tensor& own) const {
  const int rank = communicator_.rank();
  if (!dealt_) {
    if (rank == 0) own.copy_from(whole);
    return communicator_.broadcast(own);
  }
  for (const Bucket& b : buckets_) {
    const Tensor place = rank == 0 ? whole.slice(0, b.begin, b.end)
                                   : Tensor::empty({b.end - b.begin}, own.dtype(), engine::Device::cpu);
    communicator_.scatter_from_root(place, b.bounds);
    const int64_t begin = b.bounds[size_t(rank)], end = b.bounds[size_t(rank) + 1];
    if (begin < end)
      in_own(own, within(pieces_, b.begin + begin, b.begin + end)).copy_from(place.slice(0, begin, end));
  }
}

}  // namespace train
