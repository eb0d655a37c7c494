// NormSpec: the text form, its errors, JSON, layer rules. The property parse(print(x)) == x runs over random
// specs.
#include "nn/norm_spec.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "engine/base/philox.h"
#include "nn/norm_slots.h"

using namespace nn;
using Catch::Matchers::Contains;

namespace {

double some_number(engine::Rng& rng) {
  const double choices[] = {1e-5, 1e-6, 0.5, 0.1, 3e-12, 1.0 / 3, rng.uniform(), 1};
  return choices[rng.below(8)];
}

Norm some_norm(engine::Rng& rng, SlotRule rule) {
  Norm norm;
  norm.kind = NormKind(1 + rng.below(4));
  if (rule == SlotRule::heads) norm.span = NormSpan(1 + rng.below(2));
  if (norm.kind != NormKind::dyt && rng.below(3) == 0) norm.eps = some_number(rng);
  if (norm.kind == NormKind::ln && rng.below(3) == 0) norm.bias = false;
  if (norm.kind == NormKind::dyt && rng.below(2) == 0) norm.alpha = rng.normal();
  return norm;
}

Scale some_scale(engine::Rng& rng, SlotRule rule) {
  const ScaleKind kind = ScaleKind(1 + rng.below(rule == SlotRule::any_scale ? 4 : 3));
  if (kind == ScaleKind::constant) return {kind, rng.normal() * 10};
  return {kind, some_number(rng)};
}

template <class Slots>
Slots some_slots(engine::Rng& rng) {
  Slots slots;
  for (const auto& row : slot_table<Slots>()) {
    if (rng.below(2) == 0) continue;
    const auto fill = [&](auto member) {
      auto& target = slots.*member;
      using Value = std::decay_t<decltype(target)>;
      if constexpr (std::is_same_v<Value, Norm>) target = some_norm(rng, row.rule);
      if constexpr (std::is_same_v<Value, Scale>) target = some_scale(rng, row.rule);
      if constexpr (std::is_same_v<Value, HeadGain>) target = HeadGain(rng.below(3));
      if constexpr (std::is_same_v<Value, Skip>) target = Skip(rng.below(2));
    };
    std::visit(fill, row.member);
  }
  return slots;
}

NormSpec some_spec(engine::Rng& rng) {
  NormSpec spec;
  spec.attn = some_slots<AttnSlots>(rng);
  spec.ffn = some_slots<FfnSlots>(rng);
  if (rng.below(2)) spec.embed = some_norm(rng, SlotRule::row);
  if (rng.below(2)) spec.final = some_norm(rng, SlotRule::row);
  if (spec.final && rng.below(3) == 0) spec.stream = {StreamKind::residual, rng.below(2) ? 1.0 : 0.05};
  if (rng.below(4) == 0) spec.init = init_names()[rng.below(init_names().size())];
  for (uint64_t rules = rng.below(4); rules > 0; --rules) {
    LayerRule rule;
    const bool percent = rng.below(3) == 0;
    rule.low = {int64_t(rng.below(40)) - 20, percent};
    if (percent || rng.below(2)) rule.high = LayerBound{int64_t(rng.below(40)) - 20, percent};
    if (rng.below(3)) rule.attn = some_slots<AttnSlots>(rng);
    if (rng.below(3)) rule.ffn = some_slots<FfnSlots>(rng);
    spec.rules.push_back(rule);
  }
  return spec;
}

}  // namespace

TEST_CASE("norm spec: parse(print(x)) == x, in text and in JSON", "[norm_spec]") {
  engine::Rng rng{2110};
  for (int i = 0; i < 3000; ++i) {
    const NormSpec spec = some_spec(rng);
    const std::string text = print(spec);
    INFO(text);
    REQUIRE(parse_norm_spec(text) == spec);
    REQUIRE(print(parse_norm_spec(text)) == text);
    REQUIRE(norm_spec_from_json(engine::parse_json(to_json(spec).dump(), "norms")) == spec);
  }
}

TEST_CASE("norm spec: canonical text", "[norm_spec]") {
  const auto canonical = [](const char* text) { return print(parse_norm_spec(text)); };
  CHECK(canonical("attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln") ==
        "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln");
  CHECK(canonical(
            "  final=rms ffn { }\n attn{ post = rms v=rms.head q=rms.head  k=rms.head }; 0 : ffn{in=rms} ") ==
        "attn{q=rms.head k=rms.head v=rms.head post=rms} ffn{} final=rms; 0: ffn{in=rms}");
  CHECK(canonical("attn{in=ln(bias=1) skip=raw res=1 branch=vector(1)} stream=plain") ==
        "attn{in=ln branch=vector} ffn{}");
  CHECK(canonical("attn{in=rms(eps=0.000001)} ffn{branch=vector(1e-05)}") ==
        "attn{in=rms(eps=1e-6)} ffn{branch=vector(1e-5)}");
  CHECK(canonical("attn{} ffn{} final=ln stream=residual(0.05)") ==
        "attn{} ffn{} final=ln stream=residual(0.05)");
  CHECK(canonical("attn{} ffn{} final=ln stream=residual(1)") == "attn{} ffn{} final=ln stream=residual");
  CHECK(canonical("") == "attn{} ffn{}");
  CHECK(canonical("attn{res=1.5650845800732873 post=ln}") == "attn{post=ln res=1.5650845800732873} ffn{}");
}

TEST_CASE("norm spec: errors name the word, its column and the nearest valid word", "[norm_spec]") {
  struct Case {
    const char *text, *message;
  };
  const Case cases[] = {
      {"atn{in=ln}", "column 1: unknown part \"atn\" (nearest valid: \"attn\")"},
      {"attn{ni=ln}", "column 6: unknown slot of attn{} \"ni\" (nearest valid: \"in\")"},
      {"ffn{gain=inner}", "column 5: unknown slot of ffn{} \"gain\""},
      {"attn{mid=ln}", "column 6: unknown slot of attn{} \"mid\""},
      {"attn{in=lm}", "column 9: unknown norm kind \"lm\" (nearest valid: \"ln\")"},
      {"attn{in=none}", "column 9: unknown norm kind \"none\""},
      {"attn{in=}", "column 9: expected norm kind (ln, rms, dyt or l2), got \"}\""},
      {"attn{in=ln(epz=1)}", "column 12: unknown key of ln \"epz\" (nearest valid: \"eps\")"},
      {"attn{in=rms(bias=0)}", "column 13: unknown key of rms \"bias\""},
      {"attn{in=ln(alpha=1)}", "column 12: unknown key of ln \"alpha\""},
      {"attn{in=dyt(eps=1)}", "column 13: unknown key of dyt \"eps\" (nearest valid: \"alpha\")"},
      {"attn{in=ln(eps=1e-5,eps=1e-6)}", "column 21: key \"eps\" appears twice"},
      {"attn{in=ln(bias=2)}", "column 17: bias: \"2\" is outside [0, 1]"},
      {"attn{in=ln(bias=0.5)}", "column 17: bias: expected 0 or 1"},
      {"attn{in=ln(eps=0)}", "column 16: eps: \"0\" is outside"},
      {"attn{in=ln(eps=-1e-5)}", "column 16: eps: \"-1e-5\" is outside"},
      {"attn{in=ln(eps=nan)}", "column 16: eps: expected a finite number, got \"nan\""},
      {"attn{in=ln(eps=inf)}", "column 16: eps: expected a finite number, got \"inf\""},
      {"attn{in=ln(eps=1e999)}", "column 16: eps: expected a finite number, got \"1e999\""},
      {"attn{in=ln(eps=1e-5x)}", "column 16: eps: expected a finite number, got \"1e-5x\""},
      {"attn{in=ln(eps=)}", "column 16: eps: expected a number, got \")\""},
      {"attn{in=ln(eps 1)}", "column 16: expected '=' after a key, got \"1\""},
      {"attn{in=ln(eps=1e-5}", "column 20: expected ')' after the keys of a norm, got \"}\""},
      {"attn{in=ln()}", "column 12: expected key of ln (eps or bias), got \")\""},
      {"attn{in=ln in=ln}", "column 12: slot \"in\" of attn{} appears twice"},
      {"attn{in=ln} attn{in=ln}", "column 13: \"attn\" appears twice in one clause"},
      {"final=ln final=ln", "column 10: \"final\" appears twice in one clause"},
      {"attn{q=rms}", "column 11: q needs .head or .full after \"rms\""},
      {"attn{ctx=ln}", "column 12: ctx needs .head or .full"},
      {"attn{in=rms.head}", "column 12: in takes no .head or .full"},
      {"ffn{mid=ln.full}", "column 11: mid takes no .head or .full"},
      {"embed=ln.head", "column 9: embed takes no .head or .full"},
      {"attn{q=rms.heads}", "column 12: unknown span \"heads\" (nearest valid: \"head\")"},
      {"attn{gain=inside}", "column 11: unknown gain \"inside\" (nearest valid: \"inner\")"},
      {"attn{skip=now}", "column 11: unknown skip \"now\" (nearest valid: \"raw\")"},
      {"attn{res=shared}", "column 10: res cannot be \"shared\""},
      {"attn{res=victor}",
       "column 10: unknown scale \"victor\" (a number, vector or scalar; nearest valid: \"vector\")"},
      {"attn{res=1e7}", "column 10: res: \"1e7\" is outside"},
      {"attn{branch=vector(nan)}", "column 20: vector's initial value: expected a finite number"},
      {"attn{branch=vector(1}", "column 21: expected ')' after an initial value, got \"}\""},
      {"attn{in=ln", "column 6: attn{ is not closed by '}'"},
      {"attn{in=ln; 0: ffn{}", "column 6: attn{ is not closed by '}'"},
      {"attn in=ln", "column 6: expected '{' after attn, got \"in\""},
      {"attn{in ln}", "column 9: expected '=' after a slot, got \"ln\""},
      {"attn{} ffn{} }", "column 14: expected part (attn, ffn, embed, final, stream or init), got \"}\""},
      {"0: attn{}", "column 1: the first clause is the default"},
      {"attn{}; ffn{}", "column 9: expected the layers of a rule, such as 0: or 0..2:, got \"ffn\""},
      {"attn{};", "column 8: expected the layers of a rule, such as 0: or 0..2:, got the end of the text"},
      {"attn{}; 0 attn{}", "column 11: expected ':' after a range of layers, got \"attn\""},
      {"attn{}; 0..: attn{}", "column 12: expected a layer number, got \":\""},
      {"attn{}; 99999999999999999999: attn{}", "column 9: expected a layer number"},
      {"attn{}; 10%: attn{}", "column 9: a percentage needs a range"},
      {"attn{}; 0..50%: attn{}", "column 9: a range is N..M or P%..Q%"},
      {"attn{}; 0: final=ln", "column 12: \"final\" belongs to the whole model"},
      {"stream=residul", "column 8: unknown stream \"residul\" (nearest valid: \"residual\")"},
      {"stream=residual(2) final=ln", "column 17: residual's c: \"2\" is outside"},
      {"attn{post=ln} stream=residual", "stream=residual needs final="},
      {"attn{in=ln} stream=ngpt", "stream=ngpt normalises by itself"},
      {"init=megatorn", "column 6: unknown init \"megatorn\" (nearest valid: \"megatron\")"},
      {"attn{in=ln\x01}", "column 11: expected slot of attn{}"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK_THROWS_WITH(parse_norm_spec(c.text), Contains(c.message));
    CHECK_THROWS_AS(parse_norm_spec(c.text), engine::Error);
  }
}

TEST_CASE("norm spec: hostile lengths and bytes", "[norm_spec]") {
  CHECK_THROWS_WITH(parse_norm_spec(std::string(1 << 20, 'a')), Contains("at most 16384"));
  CHECK_THROWS_WITH(parse_norm_spec(std::string(16000, 'a')),
                    Contains("column 1: unknown part \"aaaa") && Contains("...\""));
  CHECK_THROWS_AS(parse_norm_spec("attn{in=ln(eps=" + std::string(16000, '9') + ")}"), engine::Error);
  const std::string valid =
      "attn{in=ln(eps=1e-6) q=rms.head branch=shared(0)} ffn{mid=ln} final=ln; 0%..25%: attn{post=ln}";
  engine::Rng rng{7};
  for (int i = 0; i < 20000; ++i) {  // any bytes at all: a spec or an Error, never anything else
    std::string text = valid;
    for (uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      const size_t at = rng.below(text.size());
      if (rng.below(2))
        text.erase(at, 1 + rng.below(4));
      else
        text.insert(at, 1, "{}=;:.%(),-1nax\0\xff "[rng.below(18)]);
      if (text.empty()) text = "x";
    }
    try {
      const NormSpec spec = parse_norm_spec(text);
      REQUIRE(parse_norm_spec(print(spec)) == spec);
    } catch (const engine::Error&) {
    }
  }
}

TEST_CASE("norm spec: layer rules", "[norm_spec]") {
  const NormSpec spec = parse_norm_spec(
      "attn{in=ln} ffn{in=ln}; 0..2: attn{post=ln} ffn{post=ln}; -1: ffn{mid=rms}; 50%..100%: attn{out=l2}; "
      "1: attn{}");
  const auto layers = resolve_layers(spec, 5);
  REQUIRE(layers.size() == 5);
  CHECK(print(layers[0].attn.post) == "ln");
  CHECK_FALSE(layers[0].attn.in);
  CHECK(layers[1].attn == AttnSlots{});
  CHECK(layers[1].ffn.post.kind == NormKind::ln);
  CHECK(layers[2].attn.out.kind == NormKind::l2);  // floor(50 * 5 / 100) = 2
  CHECK(layers[3].ffn.in.kind == NormKind::ln);
  CHECK(layers[4].ffn.mid.kind == NormKind::rms);
  CHECK_FALSE(layers[4].ffn.in);

  const auto span = [](const char* range, int64_t n) {
    const LayerSpan s = layer_span(parse_norm_spec(std::string("attn{}; ") + range + ": attn{}").rules[0], n);
    return std::pair(s.low, s.high);
  };
  CHECK(span("-2..-1", 3) == std::pair<int64_t, int64_t>(1, 2));
  CHECK(span("0%..34%", 3) == std::pair<int64_t, int64_t>(0, 1));
  CHECK(span("0%..25%", 3) == std::pair<int64_t, int64_t>(0, 0));
  CHECK(span("-34%..100%", 3) == std::pair<int64_t, int64_t>(1, 3));  // floor(-1.02) = -2, the last but one
  CHECK_THROWS_WITH(span("3", 3), Contains("rule \"3:\" names layers 3..4, outside the model's 0..3"));
  CHECK_THROWS_WITH(span("-4", 3), Contains("outside"));
  CHECK_THROWS_WITH(span("2..1", 3), Contains("ends before it begins"));
  CHECK_THROWS_WITH(span("0%..101%", 3), Contains("column 13: more than 100 % of the layers"));
  CHECK_THROWS_WITH(resolve_layers(parse_norm_spec("attn{branch=shared(0)} ffn{branch=shared}"), 2),
                    Contains("layer 0 shares one branch scale, but attn{} starts it at 0 and ffn{} at 1"));
}

TEST_CASE("norm spec: JSON errors", "[norm_spec]") {
  const auto read = [](const char* text) { return norm_spec_from_json(engine::parse_json(text, "norms")); };
  CHECK_THROWS_WITH(read(R"({"attm": {}})"), Contains("nearest valid key: \"attn\""));
  CHECK_THROWS_WITH(read(R"({"attn": {"ni": "ln"}})"), Contains("unknown key \"ni\""));
  CHECK_THROWS_WITH(read(R"({"attn": {"in": 3}})"), Contains("norms.attn.in: expected a string"));
  CHECK_THROWS_WITH(read(R"({"attn": {"in": "ln ln"}})"), Contains("unexpected \"ln\""));
  CHECK_THROWS_WITH(read(R"({"embed": "ln final=ln"})"), Contains("norms.embed: unexpected \"final\""));
  CHECK_THROWS_WITH(read(R"({"rules": [{"attn": {}}]})"), Contains("a rule needs \"layers\""));
  CHECK_THROWS_WITH(read(R"({"rules": 3})"), Contains("expected a list"));
  CHECK_THROWS_WITH(read("[]"), Contains("expected a JSON object"));
}
