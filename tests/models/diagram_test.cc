// Diagrams: what stands where, well-formed SVG, and a documentation page that keeps step with the presets.
#include "models/diagram/diagram.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "models/diagram/diagram_book.h"
#include "models/size_presets.h"
#include "nn/norm_presets.h"

using namespace models;
using Catch::Matchers::Contains;

namespace {

Picture picture_of(const std::string& norms) {
  ModelConfig config = find_size_preset("tiny-clm").config;
  set_norms(config, norms);
  return make_picture(checked(config));
}
std::vector<std::string> slots_of(const std::vector<Box>& boxes) {
  std::vector<std::string> slots;
  for (const Box& box : boxes)
    if (!box.slot.empty()) slots.push_back(box.slot);
  return slots;
}

}  // namespace

TEST_CASE("diagram: slots stand where the data meets them, empty ones vanish", "[diagram]") {
  const Picture p = picture_of(
      "attn{in=ln q=rms.head k=rms.head v=ln.full ctx=rms.full out=ln gain=inner res=0.5 branch=vector "
      "post=rms} "
      "ffn{in=ln mid=rms skip=norm res=vector} embed=ln final=ln");
  REQUIRE(p.panels.size() == 1);
  using Slots = std::vector<std::string>;
  CHECK(slots_of(p.first) == Slots{"embed=ln"});
  CHECK(slots_of(p.panels[0].attn.branch) == Slots{"in=ln", "q, k = rms.head", "v = ln.full", "gain=inner",
                                                   "ctx=rms.full", "out=ln", "branch=vector"});
  CHECK(slots_of(p.panels[0].attn.beside) == Slots{"res=0.5"});
  CHECK(slots_of(p.panels[0].attn.after) == Slots{"post=rms"});
  CHECK(slots_of(p.panels[0].ffn.before) == Slots{"skip=norm in=ln"});
  CHECK(slots_of(p.panels[0].ffn.branch) == Slots{"mid=rms"});
  CHECK(picture_of("attn{}").panels[0].attn.branch.size() == 3);  // W q k v, attention, W out
  CHECK(picture_of("hybridnorm*").panels.size() == 2);
  CHECK(picture_of("b2t").panels[0].ffn.join == "+ layer input");
  CHECK(picture_of("residual").last[0].label == "A + LayerNorm(B)");
}

TEST_CASE("diagram: text", "[diagram]") {
  const std::string text = diagram_text(picture_of("attn{in=ln} ffn{post=rms res=vector}"));
  CHECK(text == R"(  ┌──────────────────┐
  │ embeddings       │
  └─┬────────────────┘
    │
────┼── layers 0 to 5 ───────────
    │  attention
    ├──────────────╮
    │    ┌─────────┴────────┐
    │    │ LayerNorm        │  in=ln
    │    │ W q, k, v        │
    │    │ causal attention │
    │    │ W out            │
    │    └─────────┬────────┘
    ⊕──────────────╯
    │  feed-forward
    ├──────────────╮
    │    ┌─────────┴────────┐
    │    │ W up             │
    │    │ gelu             │
    │    │ W down           │
    │    └─────────┬────────┘
    ⊗ × λ (vector) │           res=vector
    ⊕──────────────╯
    │
  ┌─┴────────────────┐
  │ RMSNorm          │  post=rms
  └─┬────────────────┘
    │
────┼────────────────────────────
    │
  ┌─┴────────────────┐
  │ vocabulary head  │
  └──────────────────┘
)");
}

TEST_CASE("diagram: SVG is balanced and escaped, for every preset", "[diagram]") {
  for (const nn::NormPreset& preset : nn::norm_presets()) {
    const std::string svg = diagram_svg(picture_of(preset.name), "<" + preset.name + "> & more");
    CHECK(svg.starts_with("<svg xmlns="));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK(svg.find("&lt;" + preset.name + "&gt; &amp; more") != std::string::npos);
    size_t open = 0, closed = 0;
    for (size_t at = 0; (at = svg.find("<text ", at)) != std::string::npos; ++at) ++open;
    for (size_t at = 0; (at = svg.find("</text>", at)) != std::string::npos; ++at) ++closed;
    CHECK(open == closed);
    CHECK(open > 8);
  }
}

TEST_CASE("diagram book: docs/norm-book.md is up to date", "[diagram]") {
  const std::string page = engine::read_file(std::string(SOURCE_DIR) + "/docs/norm-book.md");
  INFO("run: normlab inspect --diagram-book docs/norm-book.md");
  CHECK(with_diagram_book(page) == page);
  for (const nn::NormPreset& preset : nn::norm_presets()) {
    CHECK(page.find("### `" + preset.name + "`") != std::string::npos);
    CHECK(page.find(preset.citation) != std::string::npos);
  }
  CHECK_THROWS_WITH(with_diagram_book("no marks"), Contains("the page needs the two lines"));
}
