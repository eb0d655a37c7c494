// Read first: name_map.h.
#include "models/hf/name_map.h"

#include <cctype>
#include <optional>

#include "engine/base/check.h"
#include "models/parameter_list.h"

namespace models {
namespace {

using engine::check;

/// The text in `pattern`'s single {N} hole, when `name` fits it ("" for a pattern without a hole that equals
/// it).
std::optional<std::string> layer_of(const std::string& pattern, const std::string& name) {
  const size_t hole = pattern.find("{N}");
  if (hole == std::string::npos) return pattern == name ? std::optional<std::string>("") : std::nullopt;
  const std::string before = pattern.substr(0, hole), after = pattern.substr(hole + 3);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after))
    return {};
  const std::string layer = name.substr(before.size(), name.size() - before.size() - after.size());
  for (char c : layer)
    if (!std::isdigit(uint8_t(c))) return {};
  return layer;
}

std::string fill(std::string pattern, const std::string& hole, const std::string& text) {
  for (size_t at = pattern.find(hole); at != std::string::npos; at = pattern.find(hole, at + text.size()))
    pattern.replace(at, hole.size(), text);
  return pattern;
}

/// "a.*" for the leaf of "a.weight"; other patterns as they are.
std::string with_leaf(const std::string& pattern, const std::string& name) {
  if (!pattern.ends_with(".*")) return pattern;
  return pattern.substr(0, pattern.size() - 1) + name.substr(name.rfind('.') + 1);
}

/// The shapes of a tensor's parts, in file layout; axis 0 is what qkv_rows and experts divide.
std::vector<Shape> part_shapes(const MappedTensor& m, const ModelConfig& c) {
  switch (m.layout) {
    case Layout::same:
    case Layout::qkv_by_head: return {m.shape};
    case Layout::transposed: return {m.shape.rank() == 2 ? Shape{m.shape[1], m.shape[0]} : m.shape};
    case Layout::qkv_rows: {
      std::vector<Shape> shapes(3, m.shape);
      shapes[0][0] = c.q_width(), shapes[1][0] = shapes[2][0] = c.kv_width();
      return shapes;
    }
    case Layout::experts: return std::vector<Shape>(size_t(c.experts), Shape{m.shape[1], m.shape[2]});
  }
  return {};
}

/// Where channel i of a head of ours lies in a head whose first `turning` channels turn in pairs
/// (i, i + turning/2). Our pairs are (i, i + n/2), of which the first turn.
int64_t channel_in_head(int64_t i, int64_t n, int64_t turning) {
  const int64_t half = n / 2, pair = i % half, second = i / half;
  if (pair < turning / 2) return pair + second * (turning / 2);
  return turning + pair - turning / 2 + second * (half - turning / 2);
}

std::vector<int64_t> rows_by_head(const ModelConfig& c) {
  check(c.kv_heads == c.heads, "the other format has as many key heads as query heads");
  std::vector<int64_t> rows;
  const int64_t n = c.head_dim;
  for (int64_t which = 0; which < 3; ++which)  // q, k, v
    for (int64_t head = 0; head < c.heads; ++head)
      for (int64_t i = 0; i < n; ++i)
        rows.push_back((head * 3 + which) * n + (which < 2 ? channel_in_head(i, n, c.rope_width) : i));
  return rows;
}

MappedTensor fill_row(const NameRow& row, const ParameterInfo& info, const std::string& layer,
                      const ModelConfig& c) {
  MappedTensor mapped{info.name, Shape(info.shape), row.layout, {}, {}};
  if (row.layout == Layout::qkv_by_head) mapped.rows = rows_by_head(c);
  const std::vector<Shape> shapes = part_shapes(mapped, c);
  for (size_t i = 0; i < shapes.size(); ++i) {
    const std::string& usual = row.theirs[row.layout == Layout::experts ? 0 : i];
    const std::string& pattern = c.tied || row.untied.empty() ? usual : row.untied;
    const std::string name = fill(with_leaf(pattern, info.name), "{N}", layer);
    mapped.parts.push_back({fill(name, "{E}", std::to_string(i)), shapes[i]});
  }
  return mapped;
}

}  // namespace

std::vector<MappedTensor> map_tensors(const std::vector<NameRow>& rows, const ModelConfig& config) {
  std::vector<MappedTensor> out;
  for (const ParameterInfo& info : parameter_list(config)) {
    const size_t before = out.size();
    for (const NameRow& row : rows)
      if (const auto layer = layer_of(with_leaf(row.ours, info.name), info.name)) {
        out.push_back(fill_row(row, info, *layer, config));
        break;
      }
    check(out.size() > before, "the other format has no place for tensor \"", info.name, "\"");
  }
  return out;
}

const DroppedRow* find_dropped(const std::vector<DroppedRow>& rows, const std::string& name) {
  for (const DroppedRow& row : rows)
    if (layer_of(with_leaf(row.theirs, name), name)) return &row;
  return nullptr;
}

Tensor join_parts(const MappedTensor& mapped, const std::vector<Tensor>& parts) {
  if (mapped.layout == Layout::same) return parts[0];
  const Tensor joined = Tensor::empty(mapped.shape, parts[0].dtype());
  for (size_t i = 0; i < mapped.rows.size(); ++i)
    joined.slice(0, int64_t(i), int64_t(i) + 1)
        .copy_from(parts[0].slice(0, mapped.rows[i], mapped.rows[i] + 1));
  if (!mapped.rows.empty()) return joined;
  const engine::NamedTensors places = take_apart(mapped, joined);
  for (size_t i = 0; i < parts.size(); ++i) places[i].second.copy_from(parts[i]);
  return joined;
}

engine::NamedTensors take_apart(const MappedTensor& mapped, const Tensor& ours) {
  engine::NamedTensors out;
  int64_t begin = 0;
  for (const Part& part : mapped.parts) {
    Tensor view = ours;
    if (mapped.layout == Layout::transposed && ours.rank() == 2) view = ours.transpose(0, 1);
    if (mapped.layout == Layout::qkv_by_head) {
      view = Tensor::empty(ours.shape(), ours.dtype());
      for (size_t i = 0; i < mapped.rows.size(); ++i)
        view.slice(0, mapped.rows[i], mapped.rows[i] + 1)
            .copy_from(ours.slice(0, int64_t(i), int64_t(i) + 1));
    }
    if (mapped.layout == Layout::qkv_rows) {
      view = ours.slice(0, begin, begin + part.shape[0]);
      begin += part.shape[0];
    }
    if (mapped.layout == Layout::experts) {
      view = ours.slice(0, begin, begin + 1).reshape(part.shape);
      begin += 1;
    }
    out.emplace_back(part.name, view);
  }
  return out;
}

}  // namespace models
