// Printing in canonical text and JSON, and the resolution of layer rules. Read first: norm_spec.h,
// norm_slots.h.
#include "nn/norm_spec.h"

#include <charconv>

#include "engine/base/check.h"
#include "nn/norm_slots.h"

namespace nn {
namespace {

/// The shortest text that reads back as the same double: 1e-5, 0.5, 1.5650845800732873.
std::string print_number(double value) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  std::string text(digits, end);
  for (const char* padded : {"e-0", "e+0"}) {
    const size_t at = text.find(padded);
    if (at != std::string::npos) text.replace(at, 3, padded[1] == '-' ? "e-" : "e+");
  }
  return text;
}

std::string print_value(const Norm& norm) { return norm ? print(norm) : ""; }
std::string print_value(const Scale& scale) {
  return scale.kind == ScaleKind::none || (scale.kind == ScaleKind::constant && scale.value == 1)
             ? ""
             : print(scale);
}
std::string print_value(HeadGain gain) { return gain == HeadGain::none ? "" : head_gain_names[size_t(gain)]; }
std::string print_value(Skip skip) { return skip == Skip::raw ? "" : skip_names[size_t(skip)]; }

/// Calls visit(name, value text) for every slot that is not at its default.
template <class Slots, class Visit>
void for_each_set(const Slots& slots, Visit visit) {
  for (const auto& row : slot_table<Slots>()) {
    const std::string value = std::visit([&](auto member) { return print_value(slots.*member); }, row.member);
    if (!value.empty()) visit(row.name, value);
  }
}

template <class Slots>
std::string print_slots(const char* sublayer, const Slots& slots) {
  std::string text;
  for_each_set(slots, [&](const char* name, const std::string& value) {
    text += (text.empty() ? "" : " ") + std::string(name) + "=" + value;
  });
  return std::string(sublayer) + "{" + text + "}";
}

template <class Slots>
engine::Json slots_to_json(const Slots& slots) {
  engine::Json json = engine::Json::object();
  for_each_set(slots, [&](const char* name, const std::string& value) { json[name] = value; });
  return json;
}

std::string print_bound(const LayerBound& bound) {
  return std::to_string(bound.value) + (bound.percent ? "%" : "");
}
std::string print_range(const LayerRule& rule) {
  return print_bound(rule.low) + (rule.high ? ".." + print_bound(*rule.high) : "");
}

std::string print_stream(const Stream& stream) {
  std::string text = stream_names[size_t(stream.kind)];
  if (stream.kind == StreamKind::residual && stream.c != 1) text += "(" + print_number(stream.c) + ")";
  return text;
}

/// The layer that a bound names: percentages round down, then a negative one counts from the end.
int64_t resolve_bound(const LayerBound& bound, int64_t layers) {
  int64_t at = bound.value;
  if (bound.percent) {
    const int64_t scaled = bound.value * layers;
    at = scaled / 100 - (scaled % 100 < 0);
  }
  return at < 0 ? at + layers : at;
}

}  // namespace

std::string print(const Norm& norm) {
  std::string text = norm_kind_names[size_t(norm.kind)];
  if (norm.span != NormSpan::row) text += std::string(".") + norm_span_names[size_t(norm.span)];
  std::string keys;
  const auto add = [&](const std::string& key) { keys += (keys.empty() ? "" : ",") + key; };
  if (norm.eps) add("eps=" + print_number(*norm.eps));
  if (norm.kind == NormKind::ln && !norm.bias) add("bias=0");
  if (norm.alpha) add("alpha=" + print_number(*norm.alpha));
  return keys.empty() ? text : text + "(" + keys + ")";
}

std::string print(const Scale& scale) {
  if (!scale.learned()) return print_number(scale.value);
  const std::string word = scale_kind_names[size_t(scale.kind)];
  return scale.value == 1 ? word : word + "(" + print_number(scale.value) + ")";
}

std::string print(const LayerRule& rule) {
  std::string text = print_range(rule) + ":";
  if (rule.attn) text += " " + print_slots("attn", *rule.attn);
  if (rule.ffn) text += " " + print_slots("ffn", *rule.ffn);
  return text;
}

std::string print(const NormSpec& spec) {
  std::string text = print_slots("attn", spec.attn) + " " + print_slots("ffn", spec.ffn);
  if (spec.embed) text += " embed=" + print(spec.embed);
  if (spec.final) text += " final=" + print(spec.final);
  if (spec.stream.kind != StreamKind::plain) text += " stream=" + print_stream(spec.stream);
  if (!spec.init.empty()) text += " init=" + spec.init;
  for (const LayerRule& rule : spec.rules) text += "; " + print(rule);
  return text;
}

engine::Json to_json(const NormSpec& spec) {
  engine::Json json = {{"attn", slots_to_json(spec.attn)}, {"ffn", slots_to_json(spec.ffn)}};
  if (spec.embed) json["embed"] = print(spec.embed);
  if (spec.final) json["final"] = print(spec.final);
  if (spec.stream.kind != StreamKind::plain) json["stream"] = print_stream(spec.stream);
  if (!spec.init.empty()) json["init"] = spec.init;
  for (const LayerRule& rule : spec.rules) {
    engine::Json item = {{"layers", print_range(rule)}};
    if (rule.attn) item["attn"] = slots_to_json(*rule.attn);
    if (rule.ffn) item["ffn"] = slots_to_json(*rule.ffn);
    json["rules"].push_back(item);
  }
  return json;
}

LayerSpan layer_span(const LayerRule& rule, int64_t layers) {
  const int64_t low = resolve_bound(rule.low, layers);
  const int64_t high = rule.high ? resolve_bound(*rule.high, layers) : low + 1;
  engine::check(low <= high, "norms: rule \"", print_range(rule), ":\" ends before it begins");
  engine::check(0 <= low && high <= layers, "norms: rule \"", print_range(rule), ":\" names layers ", low,
                "..", high, ", outside the model's 0..", layers);
  return {low, high};
}

std::vector<LayerSlots> resolve_layers(const NormSpec& spec, int64_t layers) {
  std::vector<LayerSlots> resolved(size_t(layers), LayerSlots{spec.attn, spec.ffn});
  for (const LayerRule& rule : spec.rules) {
    const LayerSpan span = layer_span(rule, layers);
    for (int64_t i = span.low; i < span.high; ++i) {
      if (rule.attn) resolved[size_t(i)].attn = *rule.attn;
      if (rule.ffn) resolved[size_t(i)].ffn = *rule.ffn;
    }
  }
  for (size_t i = 0; i < resolved.size(); ++i) {
    const Scale &a = resolved[i].attn.branch, &f = resolved[i].ffn.branch;
    const bool both = a.kind == ScaleKind::shared && f.kind == ScaleKind::shared;
    engine::check(!both || a.value == f.value, "norms: layer ", i,
                  " shares one branch scale, but attn{} starts it at ", a.value, " and ffn{} at ", f.value);
  }
  return resolved;
}

}  // namespace nn
