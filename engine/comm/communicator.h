// Communicator: the collectives that training on several ranks needs, and the one rank of a run on one
// machine.
//
// A rank is one worker with a copy of the model. The trainer talks to this interface only: it tells its data
// which rank of how many it is, starts every rank from rank 0's values, and sums gradients, losses and counts
// before each update. For a single rank all of that is the identity, bit for bit, so there is no `if
// (distributed)` anywhere. A transport (threads, MPI, NCCL) derives from Communicator and overrides the five
// private functions; what callers may pass is checked here, once, so that every transport refuses the same
// mistakes with the same words.
#pragma once

#include <memory>

#include "engine/core/tensor.h"

namespace engine {

enum class Reduction { sum, max };

/// Every rank calls the same collectives in the same order with tensors of the same size and dtype.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;  // 0 <= rank < size
  virtual int size() const = 0;

  /// In place: every rank gets the element-wise reduction over all ranks, the same bits on each.
  void all_reduce(const Tensor& values, Reduction reduction = Reduction::sum);
  /// `all` is size() parts in the order of ranks; this rank gets the reduction of its part into `part`.
  void reduce_scatter(const Tensor& all, const Tensor& part, Reduction reduction = Reduction::sum);
  /// The way back: `all` receives every rank's `part`, in the order of ranks.
  void all_gather(const Tensor& part, const Tensor& all);
  /// In place: every rank gets the values of rank `root`.
  void broadcast(const Tensor& values, int root = 0);
  /// Returns when every rank has called it.
  virtual void barrier() = 0;

 private:
  virtual void do_all_reduce(const Tensor& values, Reduction reduction) = 0;
  virtual void do_reduce_scatter(const Tensor& all, const Tensor& part, Reduction reduction) = 0;
  virtual void do_all_gather(const Tensor& part, const Tensor& all) = 0;
  virtual void do_broadcast(const Tensor& values, int root) = 0;
};

/// Sums one number over the ranks, in f64: a loss, a count of scored tokens.
double sum_over_ranks(Communicator& communicator, double value);

/// One rank by itself.
std::unique_ptr<Communicator> solo_communicator();

}  // namespace engine
