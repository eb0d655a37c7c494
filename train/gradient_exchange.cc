// Read first: gradient_exchange.h.
#include "train/gradient_exchange.h"

#include <cstring>
#include <utility>

#include "engine/base/text.h"
#include "engine/ops/optimizer.h"

namespace train {

using engine::Tensor;
using nn::Piece;
using Trouble = engine::Communicator::Trouble;

namespace {

/// The fixed part of a control word as bytes; losses and squares follow.
struct Head {
  int64_t scored;
  double seconds, clock;
  int32_t stop, code;
  char words[1024];
};

int64_t blocks_of(const std::vector<Piece>& pieces) {
  int64_t n = 0;
  for (const Piece& p : pieces) n += (p.end - p.begin + engine::kSquaresBlock - 1) / engine::kSquaresBlock;
  return n;
}

/// Calls f(bucket) for every bucket that shares elements with [begin, end).
template <class F>
void each_bucket(const std::vector<Bucket>& buckets, int64_t begin, int64_t end, const F& f) {
  for (size_t i = 0; i < buckets.size(); ++i)
    if (begin < buckets[i].end && end > buckets[i].begin) f(i);
}

}  // namespace

GradientExchange::GradientExchange(nn::Parameters& parameters, Shards& shards, SumOrder order)
    : parameters_(parameters), shards_(shards), order_(order) {
  waiting_total_.assign(shards.buckets().size(), 0);
  for (const engine::Parameter* p : parameters.all())
    each_bucket(shards.buckets(), p->grad.offset(), p->grad.offset() + p->grad.numel(),
                [&](size_t i) { ++waiting_total_[i]; });
}

void GradientExchange::begin(int64_t k) {
  k_ = k;
  started_ = 0;
  jobs_.clear();
  waiting_ = waiting_total_;
  if (order_ == SumOrder::tree && (!counter_ || counter_->size() != k)) {
    counter_.emplace(k);
    held_.resize(size_t(counter_->levels()));
  }
}

void GradientExchange::begin_turn(int64_t turn) {
  turn_ = turn;
  if (turn == 0 || counter_) parameters_.clear_gradients();
}

void GradientExchange::end_turn(int64_t turn) {
  if (!counter_ || turn + 1 == k_) return;
  parameters_.complete_gradients();
  const Tensor& grads = parameters_.grads();
  const auto& adds = counter_->adds(turn);
  const size_t level = size_t(*counter_->holds(turn));
  const auto held = [&](size_t l) -> Tensor& {
    if (!held_[l].defined()) held_[l] = grads.like(grads.shape(), engine::compute_dtype(grads.dtype()));
    return held_[l];
  };
  if (adds.empty()) return copy_flat(grads, held(level));
  const Tensor* sum = &grads;
  for (int l : adds) {
    copy_flat(*sum, held(size_t(l)), true);
    sum = &held(size_t(l));
  }
  std::swap(held(level), held(size_t(adds.back())));
}

engine::GradientListener* GradientExchange::listener() {
  return shards_.communicator().size() > 1 && turn_ + 1 == k_ ? this : nullptr;
}

void GradientExchange::on_grad_ready(engine::Parameter& p) {
  if (!std::exchange(p.grad_written, true)) p.grad.fill(0);  // used, but nothing that was differentiated needs it
  each_bucket(shards_.buckets(), p.grad.offset(), p.grad.offset() + p.grad.numel(),
              [&](size_t i) { --waiting_[i]; });
  start_ready();
}

void GradientExchange::start_ready() {
  while (started_ < waiting_.size() && waiting_[started_] <= 0) start(started_++);
}

void GradientExchange::start(size_t index) {
  const Bucket& b = shards_.buckets()[index];
  const Tensor grads = parameters_.grads().slice(0, b.begin, b.end);
  Tensor sum = grads;
  if (counter_) {
    for (int level : counter_->adds(k_ - 1)) {
      const Tensor held = held_[size_t(level)].slice(0, b.begin, b.end);
      copy_flat(sum, held, true);
      sum = held;
    }
  }
  jobs_.push_back(shards_.communicator().start_sum(
      sum, grads, b.bounds, shards_.dealt() ? engine::Gathered::own_part : engine::Gathered::all, "gradients"));
}

std::vector<double> GradientExchange::squares() const {
  std::vector<double> sums;
  for (const Piece& p : shards_.parts(shards_.communicator().rank())) {
    const std::vector<double> more = engine::sums_of_squares(parameters_.grads().slice(0, p.begin, p.end));
    sums.insert(sums.end(), more.begin(), more.end());
  }
  return sums;
}

Agreement GradientExchange::finish(const std::vector<double>& nats, const RankWord& mine) {
  engine::Communicator& c = shards_.communicator();
  const int ranks = c.size();
  if (mine.trouble.code == 0) parameters_.complete_gradients();
  waiting_.assign(waiting_.size(), 0);
  // A turn that broke off has not held what the last one adds; nobody will use the sums.
  if (mine.trouble.code != 0 && counter_)
    for (Tensor& held : held_)
      if (!held.defined())
        held = parameters_.grads().like(parameters_.grads().shape(),
                                        engine::compute_dtype(parameters_.grads().dtype()));
  start_ready();
  for (int64_t job : jobs_) c.wait(job);

  Head head{.scored = mine.scored,
            .seconds = mine.seconds,
            .clock = mine.clock,
            .stop = mine.stop,
            .code = mine.trouble.code,
            .words = {}};
  std::strncpy(head.words, engine::message_line(mine.trouble.words).c_str(), sizeof head.words - 1);
  std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
  const auto append = [&](const std::vector<double>& numbers) {
    bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double));
  };
  append(nats);
  append(squares());
  std::vector<int64_t> sizes;
  for (int r = 0; r < ranks; ++r)
    sizes.push_back(int64_t(sizeof head) + int64_t(sizeof(double)) * (k_ + blocks_of(shards_.parts(r))));
  const std::vector<std::string> words = c.gather(bytes, sizes);

  Agreement out;
  std::vector<double> all_nats(size_t(k_ * ranks)),
      blocks(size_t((parameters_.elements() + engine::kSquaresBlock - 1) / engine::kSquaresBlock));
  bool troubled = false;
  for (int r = 0; r < ranks; ++r) {
    const char* at = words[size_t(r)].data();
    std::memcpy(&head, at, sizeof head);
    at += sizeof head;
    const auto next = [&] {
      double x;
      std::memcpy(&x, at, sizeof x);
      at += sizeof x;
      return x;
    };
    out.scored += head.scored;
    out.stop = out.stop || head.stop != 0;
    if (r == 0) out.seconds = head.seconds, out.clock = head.clock;
    out.troubles.push_back({head.code, head.words});
    troubled = troubled || head.code != 0;
    for (int64_t i = 0; i < k_; ++i) all_nats[size_t(i * ranks + r)] = next();
    for (const Piece& p : shards_.parts(r))
      for (int64_t b = p.begin; b < p.end; b += engine::kSquaresBlock)
        blocks[size_t(b / engine::kSquaresBlock)] = next();
  }
  if (!troubled) out.troubles.clear();
  for (double x : all_nats) out.nats += x;
  for (double x : blocks) out.squares += x;
  return out;
}

}  // namespace train
