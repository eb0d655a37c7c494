// One transformer layer: two sublayers through one frame, whatever the placement. There is no pre-norm or
// post-norm branch here: an empty slot is the identity. Read first: norm_spec.h, residual_stream.h. Then:
// models/transformer.h.
#pragma once

#include <vector>

#include "nn/attention.h"
#include "nn/feed_forward.h"
#include "nn/residual_stream.h"

namespace nn {

/// What surrounds a branch: norms on its input, its output and the join; scales of both sides; the source of
/// the skip.
struct Frame {
  NormLayer in, out, post;
  ScaleLayer res, branch;
  Skip skip = Skip::raw;
  Parameter* step = nullptr;  // nGPT
};

struct LayerSizes {
  AttentionSizes attention;
  FeedForwardSizes feed_forward;
  StreamKind stream = StreamKind::plain;
  double second_stream = 1;  // ResiDual's c
  double step_factor = 1;    // nGPT: effective step = |stored| * factor
};

/// The streams that flow through the layers: one, or two for ResiDual. Beside them, where routers leave their
/// auxiliary losses, scalars that training adds to its loss (null: they form none).
struct Streams {
  ResidualStream main;
  Tensor second;
  std::vector<Tensor>* auxiliary = nullptr;
};

class Block {
 public:
  Block(int64_t index, const LayerSlots& slots, const LayerSizes& sizes, const Scope& scope,
        const NormDefaults& defaults);
  void operator()(Streams& streams, const Context& context) const;

 private:
  template <class Branch>
  void sublayer(const Frame& frame, Streams& streams, const Context& context, const Tensor& entrance,
                Branch branch) const;

  int64_t index_;
  LayerSizes sizes_;
  Frame attention_frame_, feed_forward_frame_;
  Attention attention_;
  FeedForward feed_forward_;
};

}  // namespace nn
