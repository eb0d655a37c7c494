// What of a run's arenas this rank holds, and the collectives that move it.
//
// An arena is parted into buckets of parallel.bucket_mib (which take up the gradients that backward finishes
// at about the same time), and each bucket into one part for each rank, in blocks of the gradient norm's
// partial sums. A rank's pieces are its parts of all buckets. With parallel.zero 1 it holds moments, the
// average and, where ops read 16-bit copies, masters of its pieces alone (ZeRO-1, Rajbhandari et al., arXiv
// 1910.02054, with masters dealt out too); vectors and embeddings, which ops read in f32, stay whole. With
// parallel.zero 0, and with one rank, it holds everything: one piece.
// Read first: nn/parameters.h, engine/comm/communicator.h. Then: gradient_exchange.h.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/comm/communicator.h"
#include "nn/parameters.h"
#include "train/config.h"

namespace train {

/// Elements [begin, end) of an arena. `bounds`: where the parts of the ranks begin in it (size + 1 numbers,
/// from 0 to end - begin).
struct Bucket {
  int64_t begin, end;
  std::vector<int64_t> bounds;
};

/// The buckets of an arena of `elements` whose matrices end at `matrices_end` and embeddings at
/// `embeddings_end`, in the order in which they are exchanged: matrices from the last layer to the first,
/// then vectors, then embeddings, whose gradients are the last to be complete.
std::vector<Bucket> plan_buckets(int64_t elements, int64_t matrices_end, int64_t embeddings_end, int ranks,
                                 int64_t bucket_elements);
/// A rank's parts of all buckets, by their place in the arena.
std::vector<nn::Piece> pieces_of(const std::vector<Bucket>& buckets, int rank);

class Shards {
 public:
  /// Both must outlive this.
  Shards(nn::Parameters& parameters, engine::Communicator& communicator, const ParallelConfig& config);

  engine::Communicator& communicator() const { return communicator_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  /// What this rank's optimizer changes: its pieces, or everything.
  const std::vector<nn::Piece>& pieces() const { return pieces_; }
  /// This rank's parts of the buckets, whatever it holds: what it adds up, and finds the norm of.
  const std::vector<nn::Piece>& parts(int rank) const { return parts_[size_t(rank)]; }
  bool dealt() const { return dealt_; }  // whether ranks hold different pieces

  /// Zeros for each element that this rank's optimizer changes, in the dtype of moments.
  engine::Tensor zeros() const;
  /// Gives up the masters of other ranks' pieces, where ops do not read them.
  void deal_values();
  /// After the optimizer: every rank's ops read what it has made of its pieces.
  void publish();
  /// The same for models that change whole tensors after each update (nGPT): change(parameter, values) is called
  /// for every parameter, on every rank. Where masters are dealt out, they travel in full for it, one at a time.
  using Change = std::function<void(const engine::Parameter&, const engine::Tensor&)>;
  void publish_changed(const Change& change);
  /// Every rank has all values, until deal_values() is called again.
  void collect_values();
  /// Every rank has all sums of gradients.
  void collect_gradients();
  /// Makes the values of this rank's pieces, and with that all values that ops read, equal to `own`.
  void set_values(const engine::Tensor& own);
  engine::Tensor own_values() const;  // a copy, in the dtype of values

  /// All pieces on rank 0, in host memory; undefined on other ranks.
  engine::Tensor gather(const engine::Tensor& own) const;
  engine::Tensor gather_values() const;
  /// The way back: `whole` is read on rank 0 alone.
  void scatter(const engine::Tensor& whole, const engine::Tensor& own) const;

 private:
  /// Gathers what ops read: of all buckets, or of those from `whole_from_` on.
  void gather_read(bool whole_alone);
  void change_dealt(const engine::Parameter& parameter, const Change& change);
  engine::Tensor gather(engine::DType dtype, const std::function<engine::Tensor(const nn::Piece&)>& part) const;

  nn::Parameters& parameters_;
  engine::Communicator& communicator_;
  std::vector<Bucket> buckets_;
  std::vector<std::vector<nn::Piece>> parts_;
  std::vector<nn::Piece> pieces_;
  int64_t whole_from_ = 0;  // values from here on are whole on every rank; 0: all of them
  bool dealt_ = false;
};

/// Copies n elements, or adds them, on all threads; floating dtypes.
void copy_flat(const engine::Tensor& from, const engine::Tensor& to, bool accumulate = false);

}  // namespace train
