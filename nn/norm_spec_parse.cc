// The text form's reader: a cursor over the text and one function per line of the grammar.
//
//   spec   = clause { ";" clause }                      clause = [ range ":" ] { part }
//   part   = "attn{" { slot "=" value } "}" | "ffn{" ... "}" | "embed=" norm | "final=" norm | "stream=" name
//   | "init=" name range  = N | N ".." M | P% ".." Q% norm   = kind [ ".head" | ".full" ] [ "(" key "="
//   number { "," ... } ")" ] scale  = number | ( "vector" | "scalar" | "shared" ) [ "(" number ")" ]
// Space may stand between any two of these words. Read first: norm_slots.h.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/norm_slots.h"

namespace nn {
namespace {

using engine::nearest_word;
using engine::one_of;
using Words = std::vector<std::string>;

constexpr size_t longest_text = 16384;
constexpr double largest_factor =
    1e6;  // of scales and alpha: nobody means more, and float16 could not hold it

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The words of a name table from its `first` on.
template <class Table>
Words words_of(const Table& table, size_t first = 0) {
  return Words(table.begin() + first, table.end());
}

template <class Slots>
Words slot_names() {
  Words names;
  for (const auto& row : slot_table<Slots>()) names.push_back(row.name);
  return names;
}

/// A short quotation for a message, without control characters.
std::string quote(std::string_view word) {
  std::string out = "\"";
  for (char c : word.substr(0, 40)) out += c < ' ' || c > '~' ? '?' : c;
  return out + (word.size() > 40 ? "...\"" : "\"");
}

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool at_end() { return skip_space(), at_ == text_.size(); }
  size_t position() { return skip_space(), at_; }
  char peek() { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) { return peek() == c ? (++at_, true) : false; }
  bool take(std::string_view s) {
    skip_space();
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  void expect(char c, const char* after) {
    if (!take(c)) error(position(), "expected '", c, "' after ", after, ", got ", here());
  }

  /// Letters, digits and underscores; may be empty.
  std::string word() {
    skip_space();
    const size_t first = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(first, at_ - first));
  }
  /// A word out of `valid`: its index. `what` says what the words are.
  size_t choice(const Words& valid, const std::string& what) {
    const size_t first = position();
    const std::string got = word();
    for (size_t i = 0; i < valid.size(); ++i)
      if (valid[i] == got) return i;
    if (got.empty()) error(first, "expected ", what, " (", one_of(valid), "), got ", here());
    error(first, "unknown ", what, " ", quote(got), " (nearest valid: \"", nearest_word(got, valid), "\")");
  }

  double number(const std::string& what, double low, double high) {
    const size_t first = position();
    size_t last = first;
    while (last < text_.size() &&
           (is_word(text_[last]) || text_[last] == '.' || text_[last] == '-' || text_[last] == '+'))
      ++last;
    const std::string_view digits = text_.substr(first, last - first);
    double value = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool whole = status == std::errc() && end == digits.data() + digits.size();
    if (digits.empty()) error(first, what, ": expected a number, got ", here());
    if (!whole || !std::isfinite(value))
      error(first, what, ": expected a finite number, got ", quote(digits));
    if (value < low || value > high)
      error(first, what, ": ", quote(digits), " is outside [", low, ", ", high, "]");
    at_ = last;
    return value;
  }

  /// An optional minus and digits, then perhaps a percent sign.
  LayerBound bound() {
    const size_t first = position();
    size_t last = first + (peek() == '-');
    while (last < text_.size() && text_[last] >= '0' && text_[last] <= '9') ++last;
    LayerBound bound;
    const auto [end, status] = std::from_chars(text_.data() + first, text_.data() + last, bound.value);
    if (status != std::errc() || end != text_.data() + last || std::abs(bound.value) > 1000000)
      error(first, "expected a layer number, got ", here());
    at_ = last;
    bound.percent = at_ < text_.size() && text_[at_] == '%';
    at_ += bound.percent;
    if (bound.percent && std::abs(bound.value) > 100) error(first, "more than 100 % of the layers");
    return bound;
  }

  /// The rest of the current word, for messages.
  std::string here() {
    if (at_end()) return "the end of the text";
    size_t last = at_ + 1;
    while (last < text_.size() && is_word(text_[at_]) && is_word(text_[last])) ++last;
    return quote(text_.substr(at_, last - at_));
  }
  template <class... Parts>
  [[noreturn]] void error(size_t position, const Parts&... parts) const {
    engine::fail("norms: column ", position + 1, ": ", parts...);
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

struct NormKey {
  const char* name;
  std::vector<NormKind> kinds;
  double low, high;
};
const std::vector<NormKey>& norm_keys() {
  static const std::vector<NormKey> keys = {
      {"eps", {NormKind::ln, NormKind::rms, NormKind::l2}, 1e-30, 1},
      {"bias", {NormKind::ln}, 0, 1},
      {"alpha", {NormKind::dyt}, -largest_factor, largest_factor},
  };
  return keys;
}

void read_norm_key(Cursor& in, Norm& norm, Words& seen) {
  const std::string kind = norm_kind_names[size_t(norm.kind)];
  Words valid;
  for (const NormKey& key : norm_keys())
    if (std::find(key.kinds.begin(), key.kinds.end(), norm.kind) != key.kinds.end())
      valid.push_back(key.name);
  const size_t first = in.position();
  const std::string name = valid[in.choice(valid, "key of " + kind)];
  if (std::find(seen.begin(), seen.end(), name) != seen.end())
    in.error(first, "key ", quote(name), " appears twice");
  seen.push_back(name);
  in.expect('=', "a key");
  const size_t at = in.position();
  for (const NormKey& key : norm_keys()) {
    if (name != key.name) continue;
    const double value = in.number(name, key.low, key.high);
    if (name == "bias" && value != 0 && value != 1) in.error(at, "bias: expected 0 or 1");
    if (name == "eps") norm.eps = value;
    if (name == "bias") norm.bias = value == 1;
    if (name == "alpha") norm.alpha = value;
  }
}

Norm read_norm(Cursor& in, SlotRule rule, const std::string& slot) {
  Norm norm;
  norm.kind = NormKind(1 + in.choice(words_of(norm_kind_names, 1), "norm kind"));
  const size_t after = in.position();
  if (in.take('.')) {
    norm.span = NormSpan(1 + in.choice(words_of(norm_span_names, 1), "span"));
    if (rule != SlotRule::heads)
      in.error(after, slot, " takes no .head or .full (only q, k, v and ctx do): remove ",
               quote(std::string(".") + norm_span_names[size_t(norm.span)]));
  } else if (rule == SlotRule::heads) {
    in.error(after, slot, " needs .head or .full after ", quote(norm_kind_names[size_t(norm.kind)]));
  }
  if (!in.take('(')) return norm;
  Words seen;
  do read_norm_key(in, norm, seen);
  while (in.take(','));
  in.expect(')', "the keys of a norm");
  return norm;
}

Scale read_scale(Cursor& in, SlotRule rule, const std::string& slot) {
  const size_t first = in.position();
  const char c = in.peek();
  if (c == '-' || c == '+' || c == '.' || (c >= '0' && c <= '9')) {
    const double value = in.number(slot, -largest_factor, largest_factor);
    return value == 1 ? Scale{} : Scale{ScaleKind::constant, value};
  }
  Words valid = words_of(scale_kind_names, 2);
  if (rule == SlotRule::own_scale) valid.pop_back();
  Scale scale;
  const std::string word = in.word();
  const auto found = std::find(valid.begin(), valid.end(), word);
  if (found == valid.end()) {
    if (word == "shared") in.error(first, slot, " cannot be \"shared\": only branch can");
    in.error(first, "unknown scale ", word.empty() ? in.here() : quote(word), " (a number, ", one_of(valid),
             "; nearest valid: \"", nearest_word(word, valid), "\")");
  }
  scale.kind = ScaleKind(2 + (found - valid.begin()));
  if (in.take('(')) {
    scale.value = in.number(word + "'s initial value", -largest_factor, largest_factor);
    in.expect(')', "an initial value");
  }
  return scale;
}

/// Fills one slot from its value's text.
template <class Slots>
void read_slot(Cursor& in, Slots& slots, const SlotRow<Slots>& row) {
  const auto fill = [&](auto member) {
    auto& target = slots.*member;
    using Value = std::decay_t<decltype(target)>;
    if constexpr (std::is_same_v<Value, Norm>) target = read_norm(in, row.rule, row.name);
    if constexpr (std::is_same_v<Value, Scale>) target = read_scale(in, row.rule, row.name);
    if constexpr (std::is_same_v<Value, HeadGain>)
      target = HeadGain(1 + in.choice(words_of(head_gain_names, 1), "gain"));
    if constexpr (std::is_same_v<Value, Skip>) target = Skip(in.choice(words_of(skip_names), "skip"));
  };
  std::visit(fill, row.member);
}

template <class Slots>
Slots read_slots(Cursor& in, const std::string& sublayer) {
  in.expect('{', sublayer.c_str());
  const size_t open = in.position();
  Slots slots;
  std::array<bool, 16> seen{};
  while (!in.take('}')) {
    const char c = in.peek();
    if (c == '\0' || c == ';') in.error(open, sublayer, "{ is not closed by '}'");
    const size_t first = in.position();
    const Words names = slot_names<Slots>();
    const size_t slot = in.choice(names, "slot of " + sublayer + "{}");
    if (seen[slot]) in.error(first, "slot ", quote(names[slot]), " of ", sublayer, "{} appears twice");
    seen[slot] = true;
    in.expect('=', "a slot");
    read_slot(in, slots, slot_table<Slots>()[slot]);
  }
  return slots;
}

Stream read_stream(Cursor& in) {
  Stream stream;
  stream.kind = StreamKind(in.choice(words_of(stream_names), "stream"));
  if (stream.kind == StreamKind::residual && in.take('(')) {
    stream.c = in.number("residual's c", 1e-6, 1);
    in.expect(')', "residual's c");
  }
  return stream;
}

const Words part_names = {"attn", "ffn", "embed", "final", "stream", "init"};

void read_model_part(Cursor& in, NormSpec& spec, const std::string& name) {
  if (name == "embed") spec.embed = read_norm(in, SlotRule::row, name);
  if (name == "final") spec.final = read_norm(in, SlotRule::row, name);
  if (name == "stream") spec.stream = read_stream(in);
  if (name == "init") spec.init = init_names()[in.choice(init_names(), "init")];
}

/// Everything of a clause after its range. Layer rules take attn{} and ffn{} only.
void read_parts(Cursor& in, NormSpec& spec, LayerRule* rule) {
  std::array<bool, 6> seen{};
  while (!in.at_end() && in.peek() != ';') {
    const size_t first = in.position();
    const size_t part = in.choice(part_names, "part");
    const std::string& name = part_names[part];
    if (seen[part]) in.error(first, quote(name), " appears twice in one clause");
    seen[part] = true;
    if (part == 0) {
      const auto slots = read_slots<AttnSlots>(in, name);
      rule ? void(rule->attn = slots) : void(spec.attn = slots);
      continue;
    }
    if (part == 1) {
      const auto slots = read_slots<FfnSlots>(in, name);
      rule ? void(rule->ffn = slots) : void(spec.ffn = slots);
      continue;
    }
    if (rule)
      in.error(first, quote(name),
               " belongs to the whole model: it stands in the first clause, not in a layer rule");
    in.expect('=', name.c_str());
    read_model_part(in, spec, name);
  }
}

void read_range(Cursor& in, LayerRule& rule) {
  const size_t first = in.position();
  rule.low = in.bound();
  if (in.take("..")) {
    rule.high = in.bound();
    if (rule.high->percent != rule.low.percent) in.error(first, "a range is N..M or P%..Q%, not one of each");
  } else if (rule.low.percent) {
    in.error(first, "a percentage needs a range, P%..Q%");
  }
  in.expect(':', "a range of layers");
}

bool starts_range(char c) { return c == '-' || (c >= '0' && c <= '9'); }

/// Two branches that read the layer's input meet in one sum, which no slot divides.
template <class Slots>
void check_parallel(const Slots& slots, const char* sublayer) {
  engine::check(!slots.post && !slots.res && slots.skip == Skip::raw,
                "norms: stream=parallel adds both branches to the layer's input at once: ", sublayer,
                "{} has no post, res or skip there");
}

/// Streams other than the plain one say where norms stand, or need one.
void check_stream(const NormSpec& spec) {
  if (spec.stream.kind == StreamKind::residual)
    engine::check(bool(spec.final), "norms: stream=residual needs final=: the norm of its second stream");
  if (spec.stream.kind == StreamKind::parallel) {
    check_parallel(spec.attn, "attn"), check_parallel(spec.ffn, "ffn");
    for (const LayerRule& rule : spec.rules) {
      if (rule.attn) check_parallel(*rule.attn, "attn");
      if (rule.ffn) check_parallel(*rule.ffn, "ffn");
    }
  }
  if (spec.stream.kind != StreamKind::ngpt) return;
  const bool empty =
      spec.attn == AttnSlots{} && spec.ffn == FfnSlots{} && !spec.embed && !spec.final && spec.rules.empty();
  engine::check(empty,
                "norms: stream=ngpt normalises by itself: attn{} and ffn{} stay empty, without embed=, "
                "final= and rules");
}

std::string json_text(const engine::Json& value, const std::string& what) {
  const std::string text = engine::json_string(value, what);
  engine::check(text.size() <= longest_text, what, ": longer than ", longest_text, " characters");
  return text;
}

template <class Slots>
Slots slots_from_json(const engine::Json& json, const std::string& sublayer) {
  engine::check_keys(json, slot_names<Slots>(), "norms." + sublayer);
  Slots slots;
  for (const auto& row : slot_table<Slots>()) {
    if (!json.contains(row.name)) continue;
    const std::string what = "norms." + sublayer + "." + row.name;
    const std::string text = json_text(json[row.name], what);
    Cursor in(text);
    read_slot(in, slots, row);
    if (!in.at_end()) in.error(in.position(), what, ": unexpected ", in.here());
  }
  return slots;
}

}  // namespace

const std::vector<std::string>& init_names() {
  static const Words names = {"fairseq", "bert",  "gpt2",     "gpt3",  "megatron",
                              "normal",  "depth", "deepnorm", "subln", "admin"};
  return names;
}

NormSpec parse_norm_spec(std::string_view text) {
  engine::check(text.size() <= longest_text, "norms: ", text.size(), " characters; at most ", longest_text,
                " are read");
  Cursor in(text);
  NormSpec spec;
  if (starts_range(in.peek()))
    in.error(in.position(), "the first clause is the default of all layers and takes no range");
  read_parts(in, spec, nullptr);
  while (in.take(';')) {
    LayerRule rule;
    if (!starts_range(in.peek()))
      in.error(in.position(), "expected the layers of a rule, such as 0: or 0..2:, got ", in.here());
    read_range(in, rule);
    read_parts(in, spec, &rule);
    spec.rules.push_back(rule);
  }
  check_stream(spec);
  return spec;
}

NormSpec norm_spec_from_json(const engine::Json& json) {
  engine::check_keys(json, {"attn", "ffn", "embed", "final", "stream", "init", "rules"}, "norms");
  NormSpec spec;
  for (const char* key : {"embed", "final", "stream", "init"}) {
    if (!json.contains(key)) continue;
    const std::string text = json_text(json[key], std::string("norms.") + key);
    Cursor in(text);
    read_model_part(in, spec, key);
    if (!in.at_end()) in.error(in.position(), "norms.", key, ": unexpected ", in.here());
  }
  if (json.contains("attn")) spec.attn = slots_from_json<AttnSlots>(json["attn"], "attn");
  if (json.contains("ffn")) spec.ffn = slots_from_json<FfnSlots>(json["ffn"], "ffn");
  if (json.contains("rules")) {
    engine::check(json["rules"].is_array() && json["rules"].size() <= 4096,
                  "norms.rules: expected a list of at most 4096 rules");
    for (const auto& item : json["rules"]) {
      engine::check_keys(item, {"layers", "attn", "ffn"}, "norms.rules");
      engine::check(item.contains("layers"), "norms.rules: a rule needs \"layers\"");
      const std::string range = json_text(item["layers"], "norms.rules.layers") + ":";
      Cursor layers(range);
      LayerRule rule;
      read_range(layers, rule);
      if (!layers.at_end()) layers.error(layers.position(), "unexpected ", layers.here());
      if (item.contains("attn")) rule.attn = slots_from_json<AttnSlots>(item["attn"], "attn");
      if (item.contains("ffn")) rule.ffn = slots_from_json<FfnSlots>(item["ffn"], "ffn");
      spec.rules.push_back(rule);
    }
  }
  check_stream(spec);
  return spec;
}

}  // namespace nn
