// Read first: batch.h.
#include "models/batch.h"

#include "engine/ops/view.h"

namespace models {

using engine::check;
using engine::Device;
using engine::DType;
using engine::RowIndex;
using engine::ScoredRows;
using engine::Shape;
using engine::Sums;
using engine::Tensor;

namespace {

Tensor on_host(const Tensor& t) { return engine::contiguous(t.detach()).to(Device::cpu); }
Tensor moved(const Tensor& t, Device device) { return t.defined() ? t.to(device) : t; }
RowIndex moved(const RowIndex& index, Device device) { return index.defined() ? index.to(device) : index; }

/// The first id of each band of the vocabulary, and its end.
std::vector<int64_t> band_edges(const ModelConfig& config) {
  std::vector<int64_t> edges = {0};
  for (int64_t b = 0; b + 1 < config.bands(); ++b) edges.push_back(config.adaptive->cutoffs[size_t(b)]);
  edges.push_back(config.vocab_size);
  return edges;
}

/// Positions whose id lies in [first, last), and those ids counted from `first`.
struct Members {
  std::vector<int32_t> positions, ids;
  Tensor position_tensor() const { return Tensor::from_ids(positions, {int64_t(positions.size())}); }
  Tensor id_tensor() const { return Tensor::from_ids(ids, {int64_t(ids.size())}); }
};
Members members_of(int64_t first, int64_t last, const Tensor& ids) {
  Members members;
  const int32_t* id = ids.data<int32_t>();
  for (int64_t i = 0; i < ids.numel(); ++i) {
    if (id[i] < first || id[i] >= last) continue;
    members.positions.push_back(int32_t(i));
    members.ids.push_back(int32_t(id[i] - first));
  }
  return members;
}

/// Rows of the position table, counted over the tokens that are no padding; padding has the row before them.
/// Undefined where nothing is padding: those are offset + 0, 1, 2, ...
template <class IsPadding>
Tensor counted_positions(const ModelConfig& config, const Shape& shape, const IsPadding& is_padding) {
  std::vector<int32_t> positions(size_t(shape.numel()));
  bool plain = true;
  const int64_t T = shape[1];
  for (int64_t i = 0, next = 0; i < shape.numel(); ++i) {
    if (i % T == 0) next = config.position_offset;
    const bool padding = is_padding(i);
    positions[size_t(i)] = int32_t(padding ? config.position_offset - 1 : next++);
    plain = plain && !padding;
  }
  return plain ? Tensor() : Tensor::from_ids(positions, shape);
}

/// Undefined: offset + 0, 1, 2, ... A masked LM with a position offset counts the tokens that are not
/// padding, whose id is the one before the offset (fairseq's and RoBERTa's rule).
Tensor position_ids(const ModelConfig& config, const Tensor& ids, const Tensor& key_mask,
                    PositionCount count) {
  if (config.position_offset == 0 || config.positions != nn::Positions::learned ||
      ids.size(1) > config.context)
    return {};
  if (count == PositionCount::by_mask) {
    if (!key_mask.defined()) return {};
    const Tensor mask = on_host(key_mask);
    return counted_positions(config, ids.shape(), [&](int64_t i) { return mask.data<uint8_t>()[i] == 0; });
  }
  if (config.causal()) return {};
  const int32_t* id = ids.data<int32_t>();
  return counted_positions(config, ids.shape(),
                           [&](int64_t i) { return id[i] == config.position_offset - 1; });
}

}  // namespace

InputRows InputRows::to(Device device) const {
  InputRows out{shape, moved(key_mask, device), moved(words, device), moved(positions, device),
                moved(types, device), {}};
  for (const Band& band : bands) out.bands.push_back({band.positions.to(device), band.words.to(device)});
  return out;
}

Targets Targets::to(Device device) const {
  Targets out{scored.defined() ? scored.to(device) : scored, moved(values, device), {}};
  for (const Band& band : bands) out.bands.push_back({band.rows.to(device), band.labels.to(device)});
  return out;
}

InputRows input_rows(const ModelConfig& config, const Tokens& tokens, Sums sums, PositionCount count) {
  check(tokens.ids.dtype() == DType::i32 && tokens.ids.rank() == 2, "ids must be i32 [B, T], got ",
        tokens.ids.dtype(), " ", tokens.ids.shape());
  InputRows rows;
  rows.shape = tokens.ids.shape();
  if (tokens.key_mask.defined())
    check(tokens.key_mask.dtype() == DType::u8 && tokens.key_mask.shape() == rows.shape,
          "attention mask must be u8 ", rows.shape, ", got ", tokens.key_mask.dtype(), " ",
          tokens.key_mask.shape());
  rows.key_mask = tokens.key_mask;
  const Tensor ids = on_host(tokens.ids);
  if (!config.adaptive) {
    rows.words = engine::index_rows("embedding", ids, config.vocab_size, "a table", sums);
  } else {
    engine::check_ids("embedding", ids, config.vocab_size, "the vocabulary");
    const std::vector<int64_t> edges = band_edges(config);
    for (size_t b = 0; b + 1 < edges.size(); ++b) {
      const Members in = members_of(edges[b], edges[b + 1], ids);
      // The positions are scattered to in the forward pass already, by their order.
      rows.bands.push_back(
          {engine::index_rows("embedding", in.position_tensor(), ids.numel(), "the rows"),
           engine::index_rows("embedding", in.id_tensor(), edges[b + 1] - edges[b], "a band", sums)});
    }
  }
  if (const Tensor positions = position_ids(config, ids, tokens.key_mask, count); positions.defined())
    rows.positions = engine::index_rows("embedding", positions, config.context + config.position_offset,
                                        "the position table", sums);
  if (config.token_types > 0) {
    const Tensor types = tokens.types.defined()
                             ? on_host(tokens.types)
                             : ids.like(ids.shape(), DType::i32, engine::Contents::zeros);
    check(types.shape() == ids.shape(), "token types ", types.shape(), " beside ids ", ids.shape());
    rows.types = engine::index_rows("embedding", types, config.token_types, "a table", sums);
  }
  return rows;
}

Targets targets(const ModelConfig& config, const Tensor& labels, int64_t vocabulary) {
  Targets out;
  if (config.objective == Objective::classify) {
    if (config.classes == 1)
      out.values = labels;
    else
      out.scored = engine::scored_rows("cross_entropy", labels, config.classes);
    return out;
  }
  const int64_t classes = vocabulary > 0 ? vocabulary : config.vocab_size;
  const Tensor ids = on_host(labels);
  if (!config.adaptive) {
    out.scored = engine::scored_rows("linear_cross_entropy", ids, classes);
    return out;
  }
  // A label of a tail band is, for the head, that band's cluster.
  const std::vector<int64_t> edges = band_edges(config);
  const int64_t words = edges[1], clusters = int64_t(edges.size()) - 2;
  engine::scored_rows("linear_cross_entropy", ids, config.vocab_size);  // names a label that is outside
  std::vector<int32_t> head(ids.data<int32_t>(), ids.data<int32_t>() + ids.numel());
  for (int64_t b = 1; b <= clusters; ++b) {
    const Members in = members_of(edges[size_t(b)], edges[size_t(b) + 1], ids);
    for (const int32_t position : in.positions) head[size_t(position)] = int32_t(words + b - 1);
    out.bands.push_back(
        {engine::index_rows("adaptive softmax", in.position_tensor(), ids.numel(), "the rows"),
         engine::scored_rows("linear_cross_entropy", in.id_tensor(), edges[size_t(b) + 1] - edges[size_t(b)])});
  }
  out.scored = engine::scored_rows("linear_cross_entropy", Tensor::from_ids(head, {ids.numel()}),
                                   words + clusters);
  return out;
}

}  // namespace models
