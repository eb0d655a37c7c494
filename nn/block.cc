// Read first: block.h.
#include "nn/block.h"

#include <utility>

#include "engine/base/profile.h"
#include "engine/ops/elementwise.h"
#include "nn/sphere.h"

namespace nn {
namespace {

template <class Slots>
Frame make_frame(const Slots& slots, const Scope& scope, const Scope& layer, const NormDefaults& defaults) {
  return {.in = NormLayer(slots.in, scope.sub("in_norm"), defaults),
          .out = NormLayer(slots.out, scope.sub("out_norm"), defaults),
          .post = NormLayer(slots.post, scope.sub("post_norm"), defaults),
          .res = ScaleLayer(slots.res, scope, "res_scale", layer),
          .branch = ScaleLayer(slots.branch, scope, "branch_scale", layer),
          .skip = slots.skip,
          .step = scope.find("step")};
}

}  // namespace

Block::Block(int64_t index, const LayerSlots& slots, const LayerSizes& sizes, const Scope& scope,
             const NormDefaults& defaults)
    : index_(index),
      sizes_(sizes),
      attention_frame_(make_frame(slots.attn, scope.sub("attn"), scope, defaults)),
      feed_forward_frame_(make_frame(slots.ffn, scope.sub("ffn"), scope, defaults)),
      attention_(slots.attn, sizes.attention, scope.sub("attn"), defaults),
      feed_forward_(slots.ffn, sizes.feed_forward, scope.sub("ffn"), defaults) {}

//   u = in(x);  s = x or u (skip);  o = out(branch(u));  y = post(res * s + branch_scale * dropout(o))
template <class Branch>
void Block::sublayer(const Frame& frame, Streams& streams, const Context& context, const Tensor& entrance,
                     Branch branch) const {
  const engine::ProfileScope scope(&frame == &attention_frame_ ? "attn" : "ffn");
  const DType compute = context.precision.compute, wide = context.precision.stream;
  ResidualStream& stream = streams.main;
  Tensor u;
  if (entrance.defined() && sizes_.stream == StreamKind::parallel) {
    u = frame.in ? frame.in(entrance, compute) : engine::cast(entrance, compute);
  } else if (!frame.in) {
    u = engine::cast(stream.joined(), compute);
  } else if (frame.skip == Skip::raw) {
    u = stream.read(frame.in, compute);
  } else {
    stream.replace(stream.read(frame.in, wide));
    u = engine::cast(stream.joined(), compute);
  }
  Tensor o = branch(u);
  if (sizes_.stream == StreamKind::ngpt) {
    stream.replace(sphere_step(stream.joined(), o, *frame.step, sizes_.step_factor));
    if (context.probe) context.probe->on_join(index_, &frame == &feed_forward_frame_, stream.joined());
    return;
  }
  if (frame.out) o = frame.out(o, wide);
  if (context.probe) context.probe->on_branch(index_, &frame == &feed_forward_frame_, stream.joined(), o);

  engine::ResidualJoin join{.res = frame.res.scale(),
                            .branch = frame.branch.scale(),
                            .dropout = context.dropout.residual,
                            .rng = context.rng};
  if (streams.second.defined()) {  // ResiDual: B += c o, of the same dropped-out o
    if (join.dropout > 0) o = engine::dropout(o, std::exchange(join.dropout, 0), *context.rng);
    streams.second = engine::residual_add(streams.second, o, {.branch = {.constant = sizes_.second_stream}});
  }
  if (entrance.defined() && sizes_.stream == StreamKind::b2t)
    stream.replace(engine::add(stream.joined(), entrance));
  stream.leave(o, join);
  if (frame.post) stream.replace(stream.read(frame.post, wide));
  if (context.probe) context.probe->on_join(index_, &frame == &feed_forward_frame_, stream.joined());
}

void Block::operator()(Streams& streams, const Context& context) const {
  const engine::ProfileScope scope("layer", index_);
  // What the layer was given: B2T's feed-forward join adds it too; of parallel branches the second reads it.
  const bool wanted = sizes_.stream == StreamKind::b2t || sizes_.stream == StreamKind::parallel;
  const Tensor entrance = wanted ? streams.main.joined() : Tensor();
  sublayer(attention_frame_, streams, context, {},
           [&](const Tensor& u) { return attention_(u, context, index_); });
  sublayer(feed_forward_frame_, streams, context, entrance,
           [&](const Tensor& u) { return feed_forward_(u, context, streams.auxiliary); });
}

}  // namespace nn
