// Read first: communicator.h.
#include "engine/comm/communicator.h"

#include "engine/base/check.h"

namespace engine {
namespace {

void check_buffer(const char* collective, const Tensor& t) {
  check(t.defined() && t.is_contiguous(), collective, ": needs a contiguous tensor, got ",
        t.defined() ? join_text(t.shape(), " with gaps") : "nothing");
}

void check_parts(const char* collective, const Tensor& all, const Tensor& part, int ranks) {
  check_buffer(collective, all);
  check_buffer(collective, part);
  check(all.dtype() == part.dtype() && all.numel() == part.numel() * ranks, collective, ": ", ranks,
        " parts of ", part.shape(), " ", part.dtype(), " do not make ", all.shape(), " ", all.dtype());
}

/// Reductions over one rank are that rank's values.
class Solo final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void barrier() override {}

 private:
  void do_all_reduce(const Tensor&, Reduction) override {}
  void do_reduce_scatter(const Tensor& all, const Tensor& part, Reduction) override { copy(all, part); }
  void do_all_gather(const Tensor& part, const Tensor& all) override { copy(part, all); }
  void do_broadcast(const Tensor&, int) override {}

  static void copy(const Tensor& from, const Tensor& to) {
    if (from.raw() != to.raw()) to.reshape({to.numel()}).copy_from(from.reshape({from.numel()}));
  }
};

}  // namespace

void Communicator::all_reduce(const Tensor& values, Reduction reduction) {
  check_buffer("all_reduce", values);
  do_all_reduce(values, reduction);
}

void Communicator::reduce_scatter(const Tensor& all, const Tensor& part, Reduction reduction) {
  check_parts("reduce_scatter", all, part, size());
  do_reduce_scatter(all, part, reduction);
}

void Communicator::all_gather(const Tensor& part, const Tensor& all) {
  check_parts("all_gather", all, part, size());
  do_all_gather(part, all);
}

void Communicator::broadcast(const Tensor& values, int root) {
  check_buffer("broadcast", values);
  check(root >= 0 && root < size(), "broadcast: root ", root, " of ", size(), " ranks");
  do_broadcast(values, root);
}

double sum_over_ranks(Communicator& communicator, double value) {
  const Tensor one = Tensor::from({value}, {1}, DType::f64);
  communicator.all_reduce(one);
  return one.item();
}

std::unique_ptr<Communicator> solo_communicator() { return std::make_unique<Solo>(); }

}  // namespace engine
